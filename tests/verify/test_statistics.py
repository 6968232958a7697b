"""Bootstrap and Student's interval against scipy, and their coverage by simulation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from prunus.errors import DataError
from prunus.verify.statistics import (
    bisect,
    bootstrap_interval,
    items_for_interval,
    resamples,
    student_quantile,
    t_interval,
    z_of,
)


def mean_of(change_N: torch.Tensor):
    return lambda index: change_N[index].mean()


# -- bootstrap --------------------------------------------------------------------------------


def test_the_bootstrap_is_the_percentile_one_of_scipy_at_the_stretched_level():
    change_N = torch.distributions.Exponential(1.0).sample((40,)).double()
    found = bootstrap_interval(mean_of(change_N), 40, repeats=5000)
    tail = stats.norm.cdf(-math.sqrt(40 / 39) * stats.t.ppf(0.975, 39))
    expected = stats.bootstrap(
        (change_N.numpy(),),
        np.mean,
        confidence_level=1 - 2 * tail,
        n_resamples=5000,
        method="percentile",
        rng=1,
    ).confidence_interval
    assert found == pytest.approx(expected, abs=0.04 * (expected.high - expected.low))


def test_the_bootstrap_of_a_ratio_agrees_with_bca_of_scipy():
    rows = torch.stack([torch.rand(400) + 1, torch.rand(400) + 2], dim=1).double()
    found = bootstrap_interval(lambda i: rows[i, 0].sum() / rows[i, 1].sum(), 400)
    expected = stats.bootstrap(
        tuple(rows.T.numpy()),
        lambda a, b, axis=-1: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        n_resamples=2000,
        rng=1,
    ).confidence_interval
    assert found == pytest.approx(expected, abs=0.06 * (expected.high - expected.low))


def test_for_normal_changes_it_is_as_wide_as_that_of_student():
    change_N = torch.from_numpy(stats.norm.ppf((np.arange(12) + 0.5) / 12))
    found = bootstrap_interval(mean_of(change_N), 12, repeats=5000)
    assert found == pytest.approx(t_interval(change_N), abs=0.05)


@pytest.mark.parametrize(
    "draw", [torch.randn, lambda n: torch.randn(n).exp() - math.exp(0.5)], ids=["normal", "skewed"]
)
def test_the_bootstrap_covers_the_true_mean(draw):
    hits = 0
    for seed in range(200):
        change_N = draw(60)
        lower, upper = bootstrap_interval(mean_of(change_N), 60, repeats=200, seed=seed)
        hits += lower <= 0.0 <= upper
    assert hits / 200 > 0.88  # 0.95 less what skewed items cost at so few of them
    assert hits / 200 < 0.98


def test_the_seed_decides():
    change_N = torch.randn(50)
    first, again, other = (bootstrap_interval(mean_of(change_N), 50, seed=s) for s in (3, 3, 4))
    assert first == again != other


def test_resamples_draw_all_items_with_replacement():
    draws = torch.stack(list(resamples(5, repeats=400, seed=0)))
    assert draws.shape == (400, 5)
    assert draws.dtype == torch.int64
    assert draws.unique().tolist() == [0, 1, 2, 3, 4]
    assert any(len(set(row)) < 5 for row in draws.tolist())


def test_one_item_cannot_be_resampled():
    with pytest.raises(DataError, match="cannot resample 1 items"):
        bootstrap_interval(mean_of(torch.ones(1)), 1)


def test_a_metric_that_is_not_finite_on_some_resample_is_refused():
    def recall(index: torch.Tensor) -> float:
        return 1.0 if bool((index == 0).any()) else math.nan

    with pytest.raises(DataError, match="not finite on a resample"):
        bootstrap_interval(recall, 10)


def test_twice_the_reach_needs_four_times_the_items():
    one = items_for_interval(arm=0.02, gap=0.01, items=1000)
    assert items_for_interval(arm=0.04, gap=0.01, items=1000) == pytest.approx(4 * one, rel=1e-3)


def test_so_many_items_settle_it_in_four_of_five_cases():
    # One item has deviation 1: with 100 items the arm is z / 10, and the bound 0.1 away.
    needed = items_for_interval(arm=z_of(0.95) / 10, gap=0.1, items=100)
    mean = 0.1 + torch.randn(20_000) / math.sqrt(needed)
    settled = (mean - z_of(0.95) / math.sqrt(needed) > 0).double().mean()
    assert float(settled) == pytest.approx(0.8, abs=0.01)


# -- Student ----------------------------------------------------------------------------------


@given(st.floats(0.5, 0.9999), st.integers(1, 5000))
def test_student_quantiles_are_those_of_scipy(probability, freedom):
    expected = stats.t.ppf(probability, freedom)
    assert student_quantile(probability, freedom) == pytest.approx(expected, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize(
    ("probability", "freedom", "quantile"),
    [(0.975, 1, 12.706), (0.95, 4, 2.132), (0.975, 30, 2.042)],
)
def test_student_quantiles_are_those_of_the_tables(probability, freedom, quantile):
    assert round(student_quantile(probability, freedom), 3) == quantile


def test_the_interval_over_seeds_is_that_of_scipy():
    difference_S = torch.tensor([-0.004, 0.001, -0.002, -0.003, 0.0005], dtype=torch.float64)
    values = difference_S.numpy()
    expected = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    assert t_interval(difference_S) == pytest.approx(expected)
    paired = stats.ttest_rel(values, np.zeros(5)).confidence_interval(0.95)
    assert t_interval(difference_S) == pytest.approx((paired.low, paired.high))


def test_equal_seeds_leave_no_width():
    assert t_interval(torch.full((4,), 0.5)) == (0.5, 0.5)


@pytest.mark.parametrize("shape", [(1,), (0,), (3, 2)])
def test_a_spread_takes_two_seeds(shape):
    with pytest.raises(DataError, match="at least 2 seeds"):
        t_interval(torch.ones(shape))


def test_seeds_that_failed_are_not_averaged_away():
    with pytest.raises(DataError, match=r"not finite: \[1.0, nan\]"):
        t_interval(torch.tensor([1.0, math.nan]))


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_bisection_ends_at_neighbouring_numbers(start, width):
    turn = start + width / 3
    found = bisect(lambda x: x < turn, start, start + width)
    assert abs(found - turn) <= 2 * math.ulp(turn)
