"""Which channels of activation functions can become lines, and why the others cannot."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import prunus
from prunus.errors import BudgetError
from prunus.planner import Planner


def found(model, inputs):
    return prunus.explain(model, inputs, granularity="activation_channel").groups


class Own(nn.Module):
    def forward(self, x):
        return functional.relu(x)


@pytest.mark.parametrize(
    "function", [nn.ReLU(True), nn.LeakyReLU(), nn.PReLU(), nn.PReLU(6), Own()]
)
def test_what_bends_at_zero_has_a_unit_a_channel(function):
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), function, nn.Conv2d(6, 2, 1))
    group = found(model, torch.randn(2, 3, 5, 5))["2"]
    assert (group.size, group.frozen_because, group.taken_up_by) == (6, None, "1")
    model = nn.Sequential(nn.Linear(3, 6), function, nn.Linear(6, 2))
    assert found(model, torch.randn(2, 3))["1"].frozen_because is None


@pytest.mark.parametrize(
    ("function", "operator"),
    [(nn.ReLU6(), "hardtanh"), (nn.GELU(), "gelu"), (nn.Sigmoid(), "sigmoid")],
)
def test_what_bends_elsewhere_goes_whole_or_not_at_all(function, operator):
    model = nn.Sequential(nn.Linear(3, 6), function, nn.Linear(6, 2))
    reason = found(model, torch.randn(2, 3))["1"].frozen_because
    assert reason.startswith(f"it is no ReLU, leaky or not, but {operator}: no module of PyTorch")


def test_channels_in_the_last_of_three_dims_are_not_where_prelu_has_them():
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    reason = found(model, torch.randn(2, 5, 3))["1"].frozen_because
    assert reason == "its channels do not lie along the second dim, where nn.PReLU has them"


def test_what_holds_the_function_holds_its_channels():
    model = nn.Sequential(nn.ReLU(), nn.Linear(3, 6), nn.LayerNorm(6), nn.ReLU())
    reasons = {name: group.frozen_because for name, group in found(model, torch.ones(2, 3)).items()}
    assert reasons["0"] == "it reads an input of the model"
    assert reasons["3"] == "it reads '2', which cannot take up a line"


@pytest.mark.parametrize("target", ["macs", "params", "bytes", "sparsity"])
def test_only_units_can_be_asked_for(target):
    budget = prunus.Budget(**{target: 0.5})
    words = f"(?s){target}=0.5 has no meaning at granularity activation_channel.*units=0.5"
    with pytest.raises(BudgetError, match=words):
        Planner.of(
            nn.Linear(2, 2), torch.ones(1, 2), budget=budget, granularity="activation_channel"
        )
