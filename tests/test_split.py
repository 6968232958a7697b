"""Each call of an activation function as a module of its own."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

import prunus
from prunus.errors import TraceError
from prunus.split import split_activations

ROWS = torch.randn(3, 4)


class Own(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Net(nn.Module):
    """Functions, methods, and two modules that are called twice."""

    def __init__(self):
        super().__init__()
        self.block, self.act, self.own = nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.ELU(), Own()
        self.one, self.two, self.three = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        x = self.own(self.own(self.act(self.act(self.block(x)))))
        x = functional.leaky_relu(self.one(x), 0.25, inplace=True)
        return self.three(functional.relu(self.norm(self.two(x).relu_()))).relu()


def functions(model: nn.Module) -> dict[str, str]:
    layers = (nn.Linear, nn.BatchNorm1d)
    named = model.named_modules()
    return {n: str(m) for n, m in named if not any(m.children()) and not isinstance(m, layers)}


def test_each_call_becomes_a_module_of_its_own():
    model = Net()
    split = split_activations(model, ROWS)
    assert functions(split) == {
        "block.1": "ReLU()",
        "act": "ELU(alpha=1.0)",
        "act_2": "ELU(alpha=1.0)",
        "own": "Own()",
        "own_2": "Own()",
        "leaky_relu": "LeakyReLU(negative_slope=0.25, inplace=True)",
        "relu": "ReLU(inplace=True)",
        "relu_2": "ReLU()",
        "relu_3": "ReLU()",
    }
    torch.testing.assert_close(split.eval()(ROWS), model.eval()(ROWS), rtol=0, atol=0)


def test_the_model_stays_as_it_was_and_shares_nothing():
    model = Net().eval()
    model.norm.train()
    before = copy.deepcopy(model)
    split = split_activations(model, ROWS)
    assert split.state_dict().keys() == model.state_dict().keys()
    assert not {p.data_ptr() for p in split.parameters()} & {
        p.data_ptr() for p in model.parameters()
    }
    assert functions(model) == functions(before)
    assert {n: m.training for n, m in split.named_modules() if m.training} == {"norm": True}


def test_what_was_called_can_go_then():
    split = split_activations(Net().eval(), ROWS)
    groups = prunus.explain(split, ROWS, granularity="activation").groups
    held = {name: group.frozen_because for name, group in groups.items() if group.frozen_because}
    assert held == {
        "act": "it reads 'block.1', which cannot take up a line",
        "act_2": "it reads 'act', which cannot take up a line",
        "own": "it reads 'act_2', which cannot take up a line",
        "own_2": "it reads 'own', which cannot take up a line",
    }
    pruned = prunus.prune(
        split, ROWS, granularity="activation", budget=prunus.Budget(units=1), exclude=["act*"],
        data=[(torch.randn(64, 4), None)],
    )  # fmt: skip
    assert pruned.report.agreement.difference < 1e-5


def test_explain_says_what_splits():
    groups = prunus.explain(Net(), ROWS, granularity="activation").groups
    reasons = [group.frozen_because for name, group in groups.items() if name in ("act", "own")]
    assert all(r.startswith("it runs 2 times; prunus.split.split_activations") for r in reasons)
    called = [name for name in groups if " at test_split.py" in name]
    assert len(called) == 2, "the modules' own operators are not among them"


def test_a_forward_that_differs_in_training_is_refused():
    class Drops(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x):
            return functional.dropout(functional.relu(self.fc(x)), training=self.training)

    with pytest.raises(TraceError, match=r"(?s)something else in training.*nn\.Dropout in place"):
        split_activations(Drops(), ROWS)


def test_a_branch_on_values_is_refused():
    class Branches(nn.Module):
        def forward(self, x):
            return functional.relu(x) if x.sum() > 0 else x

    with pytest.raises(TraceError, match=r"cannot follow the forward of Branches: TraceError"):
        split_activations(Branches(), ROWS)


def test_a_slope_that_was_computed_stays_a_call():
    class Computed(nn.Module):
        def forward(self, x, low):
            return functional.hardtanh(x, low, 1.0) + functional.relu(input=x)

    split = split_activations(Computed(), (ROWS, -0.5))
    assert functions(split) == {"relu": "ReLU()"}


def test_a_prelu_that_runs_twice_keeps_its_one_slope():
    prelu = nn.PReLU()
    model = nn.Sequential(nn.Linear(4, 4), prelu, nn.Linear(4, 4), prelu)
    assert functions(split_activations(model, ROWS)) == {"1": "PReLU(num_parameters=1)"}
    found = prunus.explain(model, ROWS, granularity="activation").groups["1"]
    assert found.frozen_because == "it runs 2 times"
