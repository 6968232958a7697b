import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from prunus.allocate import Budget
from prunus.criteria import Magnitude
from prunus.errors import CriterionError
from prunus.planner import Planner
from prunus.signals import WEIGHT, group_of


@pytest.mark.parametrize(
    ("p", "expected"), [(1, [19.0, 2.0]), (2, [13.0, 2.0]), (torch.inf, [12.0, 2.0])]
)
def test_by_hand(p, expected):
    """3-4-5 and 5-12-13."""
    members = [torch.tensor([[3.0, -4.0], [0.0, 0.0]]), torch.tensor([[12.0], [-2.0]])]
    assert Magnitude(p=p)(group_of("fc", {WEIGHT: members})).tolist() == expected


@given(p=st.sampled_from([0.5, 1, 1.5, 2, 3, torch.inf]), seed=st.integers(0, 1000))
def test_members_count_like_one_tensor(p, seed):
    weight_UF = torch.randn(4, 7, generator=torch.Generator().manual_seed(seed))
    together = Magnitude(p=p)(group_of("fc", {WEIGHT: weight_UF}))
    apart = Magnitude(p=p)(group_of("fc", {WEIGHT: [weight_UF[:, :3], weight_UF[:, 3:]]}))
    torch.testing.assert_close(apart, together)


@pytest.mark.parametrize("p", [1, 2, 3, torch.inf])
def test_single_weights_score_exactly_their_size(p):
    weight_U1 = torch.cat([torch.randn(1000), torch.tensor([1e-30, 1e30])]).unsqueeze(1)
    score_U = Magnitude(p=p)(group_of("w", {WEIGHT: weight_U1}, granularity="weight"))
    assert torch.equal(score_U, weight_U1.abs().flatten())


@pytest.mark.parametrize("p", [0, -1, torch.nan])
def test_p_must_be_positive(p):
    with pytest.raises(CriterionError, match=rf"Magnitude\(p={p}\) is no norm"):
        Magnitude(p=p)


@pytest.mark.parametrize(
    ("reduction", "expected"), [("norm", 13.0), ("mean", 8.5), ("max", 12.0), ("first", 5.0)]
)
def test_reductions_by_hand(reduction, expected):
    members = [torch.tensor([[3.0, -4.0]]), torch.tensor([[-12.0]])]
    assert Magnitude(reduction=reduction)(group_of("fc", {WEIGHT: members})).item() == expected


def test_first_is_the_filter_of_the_paper():
    """Li et al. 2017: the sum of |w| of the convolution that makes the channel, and no more."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    planner = Planner.of(
        model, torch.randn(1, 3, 8, 8), budget=Budget(units=0.5),
        criterion=Magnitude(p=1, reduction="first"),
    )  # fmt: skip
    expected = model[0].weight.detach().abs().sum(dim=(1, 2, 3))
    torch.testing.assert_close(planner.scores()["0"], expected)


def test_unknown_reduction():
    with pytest.raises(CriterionError, match="there is no reduction 'sum'"):
        Magnitude(reduction="sum")


def test_the_usual_reduction_is_not_printed():
    assert repr(Magnitude(p=1)) == "Magnitude(p=1)"
    assert repr(Magnitude(reduction="max")) == "Magnitude(p=2, reduction='max')"
