import pytest
import torch

from prunus.criteria import GRASP, Magnitude, Normalized
from prunus.errors import CriterionError
from prunus.signals import HESSIAN_GRADIENT, WEIGHT, group_of


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("mean", [6 / 7, 8 / 7]),
        ("max", [0.75, 1.0]),
        ("sum", [3 / 7, 4 / 7]),
        ("norm", [0.6, 0.8]),
    ],
)
def test_by_hand(by, expected):
    fc = group_of("fc", {WEIGHT: torch.tensor([[3.0], [-4.0]])})
    assert Normalized(by=by)(fc).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("by", ["mean", "max", "sum", "norm"])
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_of_a_layer_does_not_matter(by, scale):
    weight_UF = torch.randn(20, 3)
    first, second = (
        Normalized(of=Magnitude(p=1), by=by)(group_of("fc", {WEIGHT: value}))
        for value in (weight_UF, weight_UF * scale)
    )
    torch.testing.assert_close(first, second)
    assert torch.equal(first.argsort(), weight_UF.abs().sum(dim=1).argsort())


def test_signs_stay():
    values = {WEIGHT: torch.tensor([[1.0], [1.0]]), HESSIAN_GRADIENT: torch.tensor([[-3.0], [1.0]])}
    assert Normalized(of=GRASP())(group_of("fc", values)).tolist() == [-1.5, 0.5]


def test_a_group_of_zeros_scores_zero():
    assert Normalized()(group_of("fc", {WEIGHT: torch.zeros(3, 2)})).tolist() == [0, 0, 0]


def test_unknown_size():
    with pytest.raises(CriterionError, match="there is no size to divide by 'median'"):
        Normalized(by="median")
