import pytest
import torch
from torch import nn

import prunus
from prunus.criteria import Synflow
from prunus.errors import CriterionError
from prunus.signals import group_of, synaptic_flow


def test_by_hand():
    group = group_of("fc", {synaptic_flow(rounds=100): torch.tensor([0.9, 0.1])})
    assert Synflow()(group).tolist() == pytest.approx([0.9, 0.1])


def test_prune_gives_it_the_example_inputs():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    pruned = prunus.prune(
        model, torch.randn(3, 4), budget=prunus.Budget(units=2), criterion=Synflow(rounds=10),
        allocation="global",
    )  # fmt: skip
    assert sorted(pruned.plan.counts.values()) == [1, 1]


def test_there_must_be_a_round():
    with pytest.raises(CriterionError, match=r"Synflow\(rounds=0\) scores nothing"):
        Synflow(rounds=0)
