import pytest
import torch
from torch import nn

import prunus
from prunus.criteria import HRank
from prunus.errors import CriterionError


def test_maps_of_low_rank_go_first():
    """Channels that see a constant, one column, and everything."""
    model = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.ReLU(), nn.Conv2d(3, 1, 1))
    model[0].weight.data = torch.zeros(3, 1, 3, 3)
    model[0].weight.data[1, 0, 1, 1] = 1
    model[0].weight.data[2] = 1 / 9
    inputs = torch.rand(4, 1, 8, 8)
    pruned = prunus.prune(
        model, inputs, budget=prunus.Budget(units=2), criterion="hrank", data=[(inputs, None)]
    )
    assert pruned.plan.kept["0"].mask().tolist() == [False, True, True]


def test_a_network_without_maps_is_told_before_it_is_cut():
    model, inputs = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.randn(3, 4)
    with pytest.raises(CriterionError, match="the units of '0' have no maps"):
        prunus.prune(
            model, inputs, budget=prunus.Budget(units=0.5), criterion=HRank(), data=[(inputs, None)]
        )
