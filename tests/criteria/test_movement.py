import pytest
import torch
from torch import nn

from prunus.criteria import Magnitude, Movement, scores
from prunus.errors import CriterionError
from prunus.records import Group, Member
from prunus.signals import collect, group_of, movement


def test_by_hand():
    values = [torch.tensor([[1.0, -2.0]]), torch.tensor([[3.5]])]
    fc = group_of("fc", {movement(lr=0.01, epochs=1): values})
    assert Movement()(fc).tolist() == [2.5]


def test_one_weight_by_hand():
    """Loss w ** 2 / 2 - 2 * w from w = 1: g = -1, so w grows to 1.1, then g = -0.9."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    groups = {"weight": Group("weight", "weight", 1, (Member("weight", None),))}

    def loss(outputs, _):
        return (outputs.square() / 2 - 2 * outputs).mean()

    criterion, data = Movement(lr=0.1), [(torch.ones(1, 1), None)] * 2
    found = collect(model, groups, [criterion], data=data, loss=loss)
    expected = 0.1 * 1 * 1 + 0.1 * 0.9 * 1.1
    assert scores(criterion, groups, found)["weight"].item() == pytest.approx(expected)


def test_the_new_task_decides_and_not_the_size():
    """Inputs 0 and 1 carry the target; the old task left 2 and 3 large."""
    model = nn.Linear(4, 1, bias=False)
    model.weight.data = torch.tensor([[0.1, 0.1, 1.0, 1.0]])
    groups = {"weight": Group("weight", "weight", 4, (Member("weight", None),))}
    inputs = torch.randn(200, 4)
    data = [(inputs, inputs[:, :2].sum(dim=1, keepdim=True))] * 30
    best = {}
    for criterion in (Movement(lr=0.1), Magnitude()):
        found = collect(model, groups, [criterion], data=data, loss=nn.MSELoss())
        best[type(criterion)] = scores(criterion, groups, found)["weight"].topk(2).indices.sort()
    assert best[Movement].values.tolist() == [0, 1]
    assert best[Magnitude].values.tolist() == [2, 3]


@pytest.mark.parametrize("settings", [{"lr": 0.0}, {"lr": float("nan")}, {"epochs": 0}])
def test_settings_out_of_range(settings):
    with pytest.raises(CriterionError, match=r"Movement\(lr=.*\) cannot be used"):
        Movement(**settings)
