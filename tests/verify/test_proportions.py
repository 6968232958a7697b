"""Paired proportions against published tables, the likelihood, and every possible outcome."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from prunus.errors import DataError
from prunus.verify.proportions import (
    fewest_items,
    items_for_proportions,
    mid_p_value,
    proportion_interval,
    unseen_share,
)

Method = Callable[[int, int, int], tuple[float, float]]


@st.composite
def tables(draw: st.DrawFn) -> tuple[int, int, int]:
    """(lost, gained, items)."""
    items = draw(st.integers(1, 500))
    lost = draw(st.integers(0, items))
    return lost, draw(st.integers(0, items - lost)), items


# -- the interval -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "gained", "items", "level", "lower", "upper", "digits"),
    [
        # Tango 1998, section 6.1: contact lenses, lower limit of the 90 % interval.
        pytest.param(1, 0, 44, 0.90, -0.096, None, 3, id="tango-1998"),
        # Fagerland, Lydersen and Laake, "Statistical analysis of contingency tables", chapter 8.
        pytest.param(16, 6, 161, 0.95, -0.1240, -0.0054, 4, id="cavo-2012"),
        # The same authors, Statistics in Medicine 33, 2014: airway reactivity.
        pytest.param(7, 1, 21, 0.95, -0.517, -0.026, 3, id="bentur-2009"),
        # R package PropCIs 0.3-0, scoreci.mp(41, 48, 549, conf.level = 0.9).
        pytest.param(41, 48, 549, 0.90, -0.0157, 0.0414, 4, id="PropCIs"),
    ],
)
def test_the_interval_is_the_published_one(lost, gained, items, level, lower, upper, digits):
    found = proportion_interval(lost, gained, items, level=level)
    assert round(found.lower, digits) == lower
    assert upper is None or round(found.upper, digits) == upper


def score_by_likelihood(lost: int, gained: int, items: int, difference: float) -> float:
    """z of the true difference being `difference`, the share lost found by maximisation."""
    lowest, highest = max(0.0, -difference), (1.0 - difference) / 2.0

    def loss(q: float) -> float:
        cells = (lost, q), (gained, q + difference), (items - lost - gained, 1 - 2 * q - difference)
        return -sum(count * math.log(max(share, 1e-300)) for count, share in cells if count)

    q = optimize.minimize_scalar(
        loss, bounds=(lowest, highest), method="bounded", options={"xatol": 1e-12}
    ).x
    spread = math.sqrt(items * (2 * q + difference - difference**2))
    return (gained - lost - items * difference) / spread


@pytest.mark.parametrize(
    ("lost", "gained", "items"), [(5, 3, 360), (0, 2, 30), (40, 20, 160), (1, 1, 10), (7, 0, 9)]
)
def test_both_ends_are_where_the_score_of_the_maximised_likelihood_is_z(lost, gained, items):
    found = proportion_interval(lost, gained, items)
    z = stats.norm.ppf(0.975)
    assert score_by_likelihood(lost, gained, items, found.lower) == pytest.approx(z, abs=1e-4)
    assert score_by_likelihood(lost, gained, items, found.upper) == pytest.approx(-z, abs=1e-4)


def test_no_disagreement_leaves_z_squared_items_in_doubt():
    z = stats.norm.ppf(0.975)
    width = z**2 / (100 + z**2)
    assert proportion_interval(0, 0, 100) == pytest.approx((-width, width), abs=1e-15)
    assert unseen_share(100) == pytest.approx(width)


def test_where_everything_is_lost_the_interval_ends_at_minus_one():
    lower, upper = proportion_interval(10, 0, 10)
    assert lower == -1.0
    assert -1.0 < upper < 0.0


@given(tables())
def test_exchanging_before_and_after_mirrors_the_interval(table):
    lost, gained, items = table
    lower, upper = proportion_interval(lost, gained, items)
    assert proportion_interval(gained, lost, items) == (-upper, -lower)


@given(tables())
def test_the_interval_holds_the_observed_difference_and_possible_values_only(table):
    lost, gained, items = table
    lower, upper = proportion_interval(lost, gained, items)
    assert -1.0 <= lower <= (gained - lost) / items <= upper <= 1.0


@given(tables(), st.integers(2, 5))
def test_the_interval_narrows_with_more_items_at_the_same_shares(table, times):
    lost, gained, items = table
    lower, upper = proportion_interval(lost, gained, items)
    more = proportion_interval(times * lost, times * gained, times * items)
    assert more.upper - more.lower < upper - lower


@given(tables())
def test_a_higher_level_is_wider(table):
    narrow, wide = (proportion_interval(*table, level=level) for level in (0.9, 0.99))
    assert wide.lower <= narrow.lower <= narrow.upper <= wide.upper


@pytest.mark.parametrize("table", [(-1, 0, 5), (0, -1, 5), (0, 0, 0), (3, 3, 5)])
def test_impossible_counts_are_refused(table):
    with pytest.raises(DataError, match=r"lost and .* gained of .* items cannot be"):
        proportion_interval(*table)


# -- what it promises, by going through every outcome -----------------------------------------


def outcomes(items: int, *shares: float) -> Iterator[tuple[int, int, float]]:
    """Yield (lost, gained, probability) for all outcomes that are not negligible."""
    most = [int(stats.binom.isf(1e-7, items, share)) + 1 for share in shares]
    lost, gained = (grid.ravel() for grid in np.indices(most))
    counts = np.stack([lost, gained, items - lost - gained], axis=1)
    counts = counts[counts[:, 2] >= 0]
    probability = stats.multinomial.pmf(counts, items, [*shares, 1.0 - sum(shares)])
    kept = probability > 1e-8
    yield from zip(*counts[kept, :2].T.tolist(), probability[kept].tolist(), strict=True)


def probability_of(
    event: Callable[[float, float], bool], method: Method, truth: tuple[int, float, float]
) -> float:
    """Probability that `event(lower, upper)` holds under the true shares."""
    return sum(p for lost, gained, p in outcomes(*truth) if event(*method(lost, gained, truth[0])))


def wald_interval(lost: int, gained: int, items: int) -> tuple[float, float]:
    """Compute what most people would: wrong on purpose where few items disagree."""
    difference = (gained - lost) / items
    half = 1.96 * math.sqrt(lost + gained - (gained - lost) ** 2 / items) / items
    return difference - half, difference + half


TRUTHS = [
    (30, 0.1, 0.1),
    (40, 0.5, 0.2),
    (100, 0.02, 0.005),
    (200, 0.002, 0.001),
    (360, 0.02, 0.02),
    (360, 0.035, 0.005),
    (360, 0.03, 0.0),
    (1000, 0.011, 0.001),
    (1000, 0.03, 0.02),
]


@pytest.mark.parametrize("truth", TRUTHS, ids=str)
def test_the_true_difference_is_in_the_interval_with_the_probability_it_says(truth):
    true = truth[2] - truth[1]
    covered = probability_of(
        lambda lower, upper: lower <= true <= upper, proportion_interval, truth
    )
    assert covered > 0.945


@pytest.mark.parametrize("truth", TRUTHS, ids=str)
def test_a_drop_of_the_margin_is_called_same_in_one_of_forty_cases_at_most(truth):
    margin = truth[1] - truth[2]  # the truth lies exactly at the margin
    wrong = probability_of(lambda lower, _: lower > -margin, proportion_interval, truth)
    assert wrong < 0.03


def test_the_usual_interval_would_not_pass_these_two():
    truth = (100, 0.02, 0.005)
    true = truth[2] - truth[1]
    assert probability_of(lambda low, high: low <= true <= high, wald_interval, truth) < 0.87
    assert probability_of(lambda low, _: low > true, wald_interval, truth) > 0.13


# -- the test ---------------------------------------------------------------------------------


def test_mid_p_is_the_published_one():
    # Fagerland et al., chapter 8: cavo-2012.
    assert round(mid_p_value(16, 6), 6) == 0.034690


@pytest.mark.parametrize(("lost", "gained"), [(5, 3), (0, 1), (0, 8), (300, 260), (51_000, 50_000)])
def test_mid_p_is_the_exact_p_less_half_of_what_was_observed(lost, gained):
    exact = stats.binomtest(lost, lost + gained).pvalue
    observed = stats.binom.pmf(lost, lost + gained, 0.5)
    assert mid_p_value(lost, gained) == pytest.approx(exact - observed, rel=1e-8)


def test_mid_p_follows_from_the_exact_test_of_statsmodels():
    contingency = pytest.importorskip("statsmodels.stats.contingency_tables")
    exact = contingency.mcnemar([[100, 9], [2, 40]], exact=True).pvalue
    assert mid_p_value(9, 2) == pytest.approx(exact - stats.binom.pmf(2, 11, 0.5))


def test_mid_p_of_an_even_split_counts_it_once():
    assert mid_p_value(1, 1) == pytest.approx(1 - 0.5 * 0.5)
    assert mid_p_value(0, 0) == 1.0


@given(st.integers(0, 60), st.integers(0, 60))
def test_mid_p_is_a_probability_and_does_not_care_who_is_first(lost, gained):
    assert 0.0 < mid_p_value(lost, gained) <= 1.0
    assert mid_p_value(lost, gained) == mid_p_value(gained, lost)


# -- how many items ---------------------------------------------------------------------------


@given(st.floats(0.001, 0.99))
def test_the_fewest_items_are_just_enough(margin):
    least = fewest_items(margin)
    assert proportion_interval(0, 0, least).lower > -margin
    assert least == 1 or proportion_interval(0, 0, least - 1).lower <= -margin


@pytest.mark.parametrize(
    ("lost", "gained", "items", "margin"),
    [(10, 10, 360, 0.03), (20, 20, 1000, 0.02), (16, 2, 100, 0.05)],
)
def test_so_many_items_settle_it_in_four_of_five_cases(lost, gained, items, margin):
    needed = items_for_proportions(lost, gained, items, margin)
    worse = (gained - lost) / items < -margin

    def settled(lower: float, upper: float) -> bool:
        return upper < -margin if worse else lower > -margin

    truth = (needed, lost / items, gained / items)
    assert probability_of(settled, proportion_interval, truth) == pytest.approx(0.8, abs=0.025)


def test_without_disagreement_the_fewest_items_are_needed():
    assert items_for_proportions(0, 0, 50, 0.01) == fewest_items(0.01) == 381


def test_no_number_of_items_tells_the_margin_from_itself():
    assert items_for_proportions(3, 0, 300, 0.01) is None


@given(tables(), st.floats(0.002, 0.5))
def test_an_open_verdict_needs_more_items_than_there_are(table, margin):
    lower, upper = proportion_interval(*table)
    needed = items_for_proportions(*table, margin)
    if lower <= -margin <= upper and needed is not None:
        assert needed > table[2]
