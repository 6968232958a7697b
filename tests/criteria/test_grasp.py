import torch
from torch import nn

from prunus.criteria import GRASP, scores
from prunus.records import Group, Member
from prunus.signals import HESSIAN_GRADIENT, WEIGHT, collect, group_of


def test_by_hand():
    weights = [torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0]])]
    products = [torch.tensor([[1.0, 0.5]]), torch.tensor([[-4.0]])]
    assert GRASP()(group_of("fc", {WEIGHT: weights, HESSIAN_GRADIENT: products})).item() == -12


def test_what_scores_high_carries_the_gradient():
    """Scaling one weight down a little changes |g| ** 2 / 2 by -score times that share."""
    model, inputs, targets = nn.Linear(4, 3).double(), torch.randn(8, 4), torch.randint(3, (8,))
    data, loss = [(inputs.double(), targets)], nn.CrossEntropyLoss()

    def half_square() -> torch.Tensor:
        (gradient,) = torch.autograd.grad(loss(model(data[0][0]), targets), model.weight)
        return gradient.square().sum() / 2

    groups = {"weight": Group("weight", "weight", 12, (Member("weight", None),))}
    score_U = scores(GRASP(), groups, collect(model, groups, [GRASP()], data=data, loss=loss))
    before, share = half_square(), 1e-5
    for place, score in enumerate(score_U["weight"]):
        kept = model.weight.detach().clone()
        model.weight.data.view(-1)[place] *= 1 - share
        torch.testing.assert_close(
            ((before - half_square()) / share).float(), score, rtol=1e-3, atol=1e-7
        )
        model.weight.data = kept
