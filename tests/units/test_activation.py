"""Which activation functions can go, and why the others cannot."""

import torch
from torch import nn

import prunus
from prunus import trace
from prunus.explanation import UnitCost
from prunus.units.activation import groups

ROWS = torch.randn(3, 4)


def reasons(model: nn.Module, inputs: torch.Tensor = ROWS) -> dict[str, str | None]:
    return {g.name: g.frozen_because for g in groups(trace(model, inputs)).values()}


class Own(nn.Module):
    """An activation function of the user's own."""

    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.other, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.free, self.own, self.gate = nn.ReLU(inplace=True), Own(), nn.Sigmoid()
        self.added, self.first = nn.GELU(), nn.Tanh()

    def forward(self, x):
        y = self.free(self.one(self.first(x)))
        z = self.own(self.other(y))
        gated = self.last(z)
        gated = gated * self.gate(gated)
        return torch.relu(self.added(gated + x))


def test_what_stands_behind_a_layer_and_is_read_by_nobody_else_can_go():
    found = reasons(Branching())
    assert found["free"] is None
    assert found["own"] is None
    assert "mul at test_activation.py" in found["gate"]
    assert "reads what it reads" in found["gate"]
    assert "it reads what add made at test_activation.py" in found["added"]
    assert found["first"] == "it reads an input of the model"


def test_calls_in_the_code_are_listed_with_their_line():
    name, reason = next((n, r) for n, r in reasons(Branching()).items() if n.startswith("relu at"))
    assert "test_activation.py:" in name
    assert "only a module can be replaced; prunus.split.split_activations makes each" in reason


def test_shared_tied_hooked_and_twice_run_are_frozen():
    relu, hooked = nn.ReLU(), nn.Tanh()
    hooked.register_forward_hook(lambda *_: None)
    tied, other = nn.Linear(4, 4), nn.Linear(4, 4)
    other.weight = tied.weight
    model = nn.Sequential(
        nn.Linear(4, 4), relu, nn.Linear(4, 4), relu, nn.Linear(4, 4), hooked,
        tied, nn.GELU(), other,
    )  # fmt: skip
    found = reasons(model)
    assert found["1"].startswith("it runs 2 times; prunus.split.split_activations makes each call")
    assert found["5"] == "it has hooks"
    assert found["7"] == "it reads '6', and its weight is tied to another"


def test_a_weight_that_is_read_elsewhere_holds_its_layer():
    class Peeks(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.act = nn.Linear(4, 4), nn.ReLU()

        def forward(self, x):
            return self.act(self.fc(x)) + self.fc.weight.sum()

    assert "sum at test_activation.py" in reasons(Peeks())["act"]


def test_an_output_of_the_model_is_not_changed():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.act = nn.Linear(4, 4), nn.ReLU()

        def forward(self, x):
            y = self.fc(x)
            return y, self.act(y)

    assert reasons(Both())["act"] == "what it reads is an output of the model"


def test_a_layer_norm_cannot_take_up_a_line():
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 4))
    assert reasons(model)["2"] == "it reads '1', which cannot take up a line"


def test_a_container_with_hooks_ends_a_chain():
    inner = nn.Sequential(nn.Linear(4, 4))
    inner.register_forward_hook(lambda *_: None)
    model = nn.Sequential(inner, nn.ReLU(), nn.Linear(4, 4))
    assert reasons(model)["1"] == "it reads '0', which cannot take up a line"


def test_patterns_name_activations():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.PReLU(), nn.Linear(4, 4))
    found = prunus.explain(model, ROWS, granularity="activation", exclude=["1"]).groups
    assert found["1"].frozen_because == "excluded by '1'"
    assert found["3"].frozen_because is None
    found = prunus.explain(model, ROWS, granularity="activation", include=["3"]).groups
    assert "'1' is not among include" in found["1"].frozen_because


def test_what_cannot_go_saves_nothing():
    explained = prunus.explain(Branching(), ROWS, granularity="activation")
    for name, group in explained.groups.items():
        if group.frozen_because is not None:
            assert explained.unit_cost(name) == UnitCost(params=0, macs=0)
    assert "added (1) frozen: it reads what add made" in str(explained)


def test_the_fast_path_of_pytorch_holds_its_functions():
    def model(activation):
        return nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation=activation)

    rows = torch.randn(2, 3, 8)
    assert "has a fast path" in reasons(model(nn.GELU()), rows)["activation"]
    assert reasons(model(nn.SiLU()), rows)["activation"] is None


def test_a_row_that_bites_its_tail_ends():
    twice, passes = nn.ReLU(), nn.Identity()
    model = nn.Sequential(nn.Linear(4, 4), twice, twice, nn.Linear(4, 4), passes, passes, nn.Tanh())
    found = reasons(model)
    assert found["1"].startswith("it runs 2 times")
    assert found["6"] == "it runs 2 times"
