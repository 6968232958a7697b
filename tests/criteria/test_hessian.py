import pytest
import torch
from torch import nn

from prunus.criteria import Hessian, scores
from prunus.errors import CriterionError
from prunus.records import Group, Member
from prunus.signals import WEIGHT, collect, group_of, hessian_diagonal


@pytest.mark.parametrize(("signed", "expected"), [(False, 21.0), (True, -15.0)])
def test_by_hand(signed, expected):
    weights = [torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0]])]
    diagonals = [torch.tensor([[2.0, 1.0]]), torch.tensor([[-4.0]])]
    fc = group_of("fc", {WEIGHT: weights, hessian_diagonal(probes=1, seed=0): diagonals})
    assert Hessian(signed=signed)(fc).tolist() == [expected]


def test_is_the_loss_that_a_quadratic_gains():
    """At the minimum of a quadratic with a diagonal Hessian it is no estimate."""
    model = nn.Linear(4, 1, bias=False)
    best, data = model.weight.detach().clone(), [(torch.eye(4) * 2, None)]

    def loss(outputs, _):
        return (outputs - torch.eye(4) @ best.T * 2).square().mean()

    groups = {"weight": Group("weight", "weight", 4, (Member("weight", None),))}
    score_U = scores(Hessian(), groups, collect(model, groups, [Hessian()], data=data, loss=loss))
    torch.testing.assert_close(score_U["weight"], best.square().flatten())  # 4 / 4 * w ** 2


@pytest.mark.parametrize("settings", [{"probes": 0}, {"seed": -1}])
def test_settings_out_of_range(settings):
    with pytest.raises(CriterionError, match=r"Hessian\(.*\) cannot be used"):
        Hessian(**settings)
