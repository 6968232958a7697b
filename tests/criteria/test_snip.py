import torch
from torch import nn

from prunus.criteria import SNIP, scores
from prunus.records import Group, Member
from prunus.signals import GRADIENT, WEIGHT, collect, group_of


def test_by_hand():
    weights = [torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0]])]
    gradients = [torch.tensor([[1.0, 0.5]]), torch.tensor([[-4.0]])]
    assert SNIP()(group_of("fc", {WEIGHT: weights, GRADIENT: gradients})).tolist() == [14.0]


def test_is_the_gradient_of_a_mask():
    """The definition of the paper: the derivative of the loss by a factor of each weight."""
    model, inputs, targets = nn.Linear(4, 3), torch.randn(8, 4), torch.randint(3, (8,))
    mask = torch.ones(3, 4, requires_grad=True)
    outputs = nn.functional.linear(inputs, model.weight.detach() * mask, model.bias)
    nn.functional.cross_entropy(outputs, targets).backward()
    groups = {"weight": Group("weight", "weight", 12, (Member("weight", None),))}
    signals = collect(model, groups, [SNIP()], data=[(inputs, targets)], loss=nn.CrossEntropyLoss())
    score_U = scores(SNIP(), groups, signals)["weight"]
    torch.testing.assert_close(score_U, mask.grad.abs().flatten())
