import torch
from torch import nn

import prunus
from prunus.criteria import ActivationMean
from prunus.signals import ACTIVATION_MEAN, group_of


def test_by_hand():
    magnitude_U = torch.tensor([0.25, 1.0])
    assert ActivationMean()(group_of("fc", {ACTIVATION_MEAN: magnitude_U})).tolist() == [0.25, 1.0]


def test_needs_no_labels_and_no_loss():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    model[0].weight.data[5] *= 0.01
    model[0].bias.data[5] = 0
    pruned = prunus.prune(
        model, torch.randn(1, 4), budget=prunus.Budget(units=7), criterion="activation_mean",
        data=[torch.randn(16, 4), torch.randn(3, 4)],
    )  # fmt: skip
    assert pruned.plan.kept["0"].mask().tolist() == [unit != 5 for unit in range(8)]
