import torch
from torch import nn

import prunus
from prunus.criteria import BatchNormScale
from prunus.networks import resnet
from prunus.signals import NORM_SCALE, group_of


def test_by_hand():
    group = group_of("conv", {NORM_SCALE: torch.tensor([2.0, 0.5])})
    assert BatchNormScale()(group).tolist() == [2, 0.5]


def test_prune_removes_the_channels_that_training_switched_off():
    model, inputs = resnet(), torch.randn(2, 1, 8, 8)
    nn.init.constant_(model.block1.bn1.weight[:4], 0.01)
    pruned = prunus.prune(
        model, inputs, budget=prunus.Budget(units=172), criterion="batch_norm_scale",
        allocation="global",
    )  # fmt: skip
    kept = pruned.plan.kept["block1.conv1"].mask()
    assert not kept[:4].any()
    assert kept[4:].all()
