import pytest
import torch

from prunus.criteria import LAMP, Magnitude
from prunus.signals import WEIGHT, group_of


def lamp(weights) -> torch.Tensor:
    return LAMP()(group_of("w", {WEIGHT: weights}))


def test_by_hand():
    """Squares 9, 1, 4: over 9, over 14, over 13."""
    expected = torch.tensor([1, 1 / 14, 4 / 13])
    torch.testing.assert_close(lamp(torch.tensor([[3.0], [-1.0], [2.0]])), expected)


def test_equals_its_definition():
    members = [torch.randn(50, 3), torch.randn(50, 1).round()]
    square_U = torch.cat(members, dim=1).double().square().sum(dim=1)
    expected = [s / square_U[square_U >= s].sum() for s in square_U]
    torch.testing.assert_close(lamp(members), torch.stack(expected).float())


def test_ranks_a_group_as_magnitude_does():
    weight_UF = torch.randn(100, 2)
    magnitude_U = Magnitude()(group_of("w", {WEIGHT: weight_UF}))
    assert torch.equal(lamp(weight_UF).argsort(), magnitude_U.argsort())


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scale_does_not_matter(scale):
    weight_U1 = torch.randn(100, 1)
    torch.testing.assert_close(lamp(weight_U1 * scale), lamp(weight_U1))


def test_zeros_score_zero():
    assert lamp(torch.zeros(3, 1)).tolist() == [0, 0, 0]


def test_the_largest_of_a_million_scores_one():
    """Where float32 sums are subtracted, late denominators come out 0 or negative."""
    score_U = lamp(torch.randn(1_000_000, 1))
    assert score_U.max() == 1
    assert score_U.min() > 0
