"""A chain of two convolutions with a batch norm between: the smallest net with coupled slices."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from prunus.extents import Leaf
from prunus.records import Group, Groups, Member


class Chain(NamedTuple):
    model: nn.Sequential
    groups: Groups
    data: list[tuple[Tensor, Tensor]]
    loss: nn.Module


@pytest.fixture
def chain() -> Chain:
    """Group "0.weight" is the 4 channels between the two convolutions."""
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.Flatten()
    )
    model[1].running_mean.uniform_(-0.1, 0.1)
    name = "0.weight"
    first = [Member(tensor, 0, Leaf(4, name)) for tensor in (name, "0.bias", "1.weight", "1.bias")]
    buffers = [
        Member(tensor, 0, Leaf(4, name), parameter=False)
        for tensor in ("1.running_mean", "1.running_var")
    ]
    consumer = Member("3.weight", 1, Leaf(4, name))
    group = Group(name, "channel", 4, (*first, *buffers, consumer))
    data = [(torch.randn(5, 3, 5, 5), torch.randint(2, (5,))) for _ in range(3)]
    return Chain(model, {name: group}, data, nn.CrossEntropyLoss())
