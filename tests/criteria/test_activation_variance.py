import torch
from torch import nn

import prunus
from prunus.criteria import ActivationVariance
from prunus.signals import ACTIVATION_VARIANCE, group_of


def test_by_hand():
    variance_U = torch.tensor([0.25, 1.0])
    group = group_of("fc", {ACTIVATION_VARIANCE: variance_U})
    assert ActivationVariance()(group).tolist() == [0.25, 1.0]


def test_a_constant_unit_goes_first_however_large():
    model, inputs = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.randn(64, 4)
    model[0].weight.data[5] = 0
    model[0].bias.data[5] = 1e4
    pruned = prunus.prune(
        model, inputs, budget=prunus.Budget(units=7), criterion="activation_variance",
        data=[(inputs, None)],
    )  # fmt: skip
    assert pruned.plan.kept["0"].mask().tolist() == [unit != 5 for unit in range(8)]
