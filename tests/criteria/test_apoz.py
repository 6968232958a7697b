import pytest
import torch
from torch import nn

import prunus
from prunus.criteria import APOZ
from prunus.errors import CriterionError
from prunus.signals import ACTIVATION_ZEROS, group_of


def test_by_hand():
    zeros_U = torch.tensor([0.25, 1.0, 0.0])
    assert APOZ()(group_of("fc", {ACTIVATION_ZEROS: zeros_U})).tolist() == [0.75, 0.0, 1.0]


def test_a_dead_unit_goes_first():
    model, inputs = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.randn(64, 4)
    model[0].bias.data[3] = -100
    pruned = prunus.prune(
        model, inputs, budget=prunus.Budget(units=7), criterion="apoz", data=[(inputs, None)]
    )
    assert pruned.plan.kept["0"].mask().tolist() == [unit != 3 for unit in range(8)]


@pytest.mark.parametrize("function", [nn.GELU, nn.SiLU, nn.Tanh])
def test_functions_that_make_no_zeros(function):
    model, inputs = nn.Sequential(nn.Linear(4, 8), function(), nn.Linear(8, 2)), torch.randn(64, 4)
    with pytest.raises(CriterionError, match="no activation of '0' is ever zero") as caught:
        prunus.prune(
            model, inputs, budget=prunus.Budget(units=0.5), criterion="apoz", data=[(inputs, None)]
        )
    assert "criterion='activation_mean'" in caught.value.hint
