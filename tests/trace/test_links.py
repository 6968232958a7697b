"""What stands in front of what, whatever way the code goes."""

import torch
from torch import nn

from prunus.trace import trace

ROWS = torch.randn(3, 4)


def before(model: nn.Module, inputs: torch.Tensor = ROWS) -> dict[str, str | None]:
    return {link.module: link.before for link in trace(model, inputs).links}


def test_modules_in_a_row_whatever_holds_them():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(4, 4), nn.Identity())
            self.steps = nn.ModuleDict({"act": nn.ReLU(inplace=True)})
            self.out = nn.Linear(4, 2)

        def forward(self, x):
            return self.out(self.steps["act"](self.inner(x)))

    assert before(Net()) == {
        "inner.0": None, "inner.1": "inner.0", "steps.act": "inner.1", "out": "steps.act"
    }  # fmt: skip


def test_a_step_between_parts_them():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.other(self.one(x) + 1)

    assert before(Net())["other"] is None


def test_two_readers_part_both():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.left, self.right = (nn.Linear(4, 4) for _ in range(3))

        def forward(self, x):
            y = self.one(x)
            return self.left(y) + self.right(y)

    assert before(Net())["left"] is before(Net())["right"] is None


def test_what_writes_in_place_is_seen():
    """The function works in place, so what reads the layer's result later reads its own."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.act, self.out = nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 4)

        def forward(self, x):
            y = self.fc(x)
            self.act(y)
            return self.out(y) + y

    found = before(Net())
    assert found["act"] == "fc"
    assert found["out"] is None  # the sum reads what it reads


def test_operators_of_a_module_are_its_own():
    graph = trace(nn.Sequential(nn.Linear(4, 8), nn.GELU()), ROWS)
    names = {
        link.module: [o.name for o in graph.operators[slice(*link.ran)]] for link in graph.links
    }
    assert names["1"] == ["gelu"]
    assert "addmm" in names["0"]


def test_no_hook_stays():
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU())
    trace(model, ROWS)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
