import torch

from prunus.criteria import Gradient
from prunus.signals import GRADIENT, group_of


def test_by_hand():
    members = [torch.tensor([[1.0, -2.0], [0.0, 0.5]]), torch.tensor([[-4.0], [0.0]])]
    assert Gradient()(group_of("fc", {GRADIENT: members})).tolist() == [7.0, 0.5]


def test_opposite_signs_do_not_cancel():
    assert Gradient()(group_of("fc", {GRADIENT: torch.tensor([[1.0, -1.0]])})).item() == 2
