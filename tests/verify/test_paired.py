"""Comparing what two models did on the same items."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunus.errors import DataError, VerifyError
from prunus.verify.paired import compare, compare_metric
from prunus.verify.proportions import mid_p_value, proportion_interval, unseen_share

bits = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80)
values = st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=3, max_size=30)


def of(pairs, dtype):
    return torch.tensor(pairs, dtype=dtype).unbind(dim=1)


# -- right or wrong ---------------------------------------------------------------------------


def test_right_and_wrong_are_counted_by_hand():
    before = torch.tensor([1, 1, 1, 1, 0, 0, 1, 0]).bool()
    after = torch.tensor([1, 0, 0, 0, 1, 0, 1, 0]).bool()
    found = compare(before, after, margin=0.05)
    assert (found.before, found.after, found.difference) == (5 / 8, 3 / 8, -2 / 8)
    assert (found.items, found.lost, found.gained) == (8, 3, 1)
    assert (found.lower, found.upper) == proportion_interval(3, 1, 8)
    assert found.p_value == mid_p_value(3, 1)
    assert found.method == "Tango's score interval"


def test_numbers_that_are_all_0_or_1_are_right_or_wrong():
    before, after = torch.rand(2, 200) < 0.5
    as_floats = compare(before.float(), after.float(), margin=0.1)
    assert as_floats == compare(before, after, margin=0.1)
    assert as_floats.lost is not None


@given(bits)
def test_exchanging_the_models_mirrors_the_comparison(pairs):
    before, after = of(pairs, torch.bool)
    there, back = compare(before, after, margin=0.1), compare(after, before, margin=0.1)
    assert (back.difference, back.lower, back.upper) == (
        -there.difference,
        -there.upper,
        -there.lower,
    )
    assert (back.lost, back.gained, back.p_value) == (there.gained, there.lost, there.p_value)


@given(bits, st.randoms(use_true_random=False))
def test_the_order_of_the_items_does_not_matter(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    first, second = (compare(*of(p, torch.bool), margin=0.1) for p in (pairs, shuffled))
    assert first == second


def test_a_settled_verdict_needs_no_more_items():
    right = torch.ones(1000, dtype=torch.bool)
    found = compare(right, right, margin=0.01)
    assert (found.verdict, found.items_needed) == ("same", None)


def test_digits_cannot_show_one_point():
    right = torch.ones(360, dtype=torch.bool)
    found = compare(right, right, margin=0.01)
    assert found.verdict == "not enough data to tell"
    assert found.items_least == found.items_needed == 381


def test_a_pruned_model_that_lost_the_margin_is_rarely_called_same():
    margin, same = 0.03, 0
    for _ in range(400):
        draw = torch.rand(360)
        before, after = draw < 0.9, (draw < 0.86) | (draw > 0.99)  # loses 4 points, gains 1
        same += compare(before, after, margin=margin).verdict == "same"
    assert same / 400 < 0.045  # 0.025 and three standard errors of 400 draws


# -- values -----------------------------------------------------------------------------------


def test_values_are_compared_by_bootstrap():
    before = torch.randn(500)
    after = before - 0.02 + 0.1 * torch.randn(500)
    found = compare(before, after, margin=0.05)
    assert found.difference == pytest.approx(float((after - before).mean()), abs=1e-6)
    half = 1.96 * 0.1 / math.sqrt(500)
    assert found.lower == pytest.approx(found.difference - half, abs=0.15 * half)
    assert found.upper == pytest.approx(found.difference + half, abs=0.15 * half)
    assert (found.lost, found.gained, found.p_value) == (None, None, None)
    assert found.method == "paired bootstrap, 2,000 resamples, seed 0"


@settings(max_examples=8)
@given(values)
def test_exchanging_the_models_mirrors_the_bootstrap(pairs):
    before, after = of(pairs, torch.float64)
    there, back = compare(before, after, margin=0.1), compare(after, before, margin=0.1)
    assert back.lower == pytest.approx(-there.upper, abs=1e-9)
    assert back.upper == pytest.approx(-there.lower, abs=1e-9)


@settings(max_examples=8)
@given(values, st.floats(0.01, 1.0))
def test_an_open_verdict_on_values_needs_more_items_than_there_are(pairs, margin):
    found = compare(*of(pairs, torch.float64), margin=margin)
    assert (found.items_needed is not None) == (found.verdict == "not enough data to tell")
    assert found.items_needed is None or found.items_needed > found.items


def test_pairing_is_what_makes_the_interval_narrow():
    before = torch.randn(300)
    after = before + 0.01 * torch.randn(300)
    paired = compare(before, after, margin=0.01)
    shuffled = compare(before, after[torch.randperm(300)], margin=0.01)
    assert (paired.upper - paired.lower) < 0.05 * (shuffled.upper - shuffled.lower)


def test_few_items_that_did_not_change_prove_nothing():
    scores = torch.linspace(0.0, 0.5, 50)  # a bootstrap alone would say 0.0 to 0.0
    found = compare(scores, scores, margin=0.01)
    assert found.verdict == "not enough data to tell"
    assert (found.lower, found.upper) == (-0.5 * unseen_share(50), 0.5 * unseen_share(50))
    assert found.items_needed == found.items_least
    enough = torch.linspace(0.0, 0.5, found.items_least)
    assert compare(enough, enough, margin=0.01).verdict == "same"


def test_where_most_items_change_the_bootstrap_stands_alone():
    before = torch.linspace(-100.0, 0.0, 200)
    after = before + 0.01 * torch.randn(200)
    assert compare(before, after, margin=0.01).upper < 0.01 < 100 * unseen_share(200)


# -- metrics of the whole set -----------------------------------------------------------------


def f1(rows: torch.Tensor) -> torch.Tensor:
    predicted, true = rows.unbind(dim=1)
    return 2 * (predicted & true).sum() / (predicted.sum() + true.sum())


def test_a_metric_of_the_set_is_computed_on_every_draw():
    true = torch.rand(1000) < 0.4
    before, after = (true ^ (torch.rand(1000) < flips) for flips in (0.1, 0.12))
    found = compare_metric(
        f1, torch.stack([before, true], 1), torch.stack([after, true], 1), margin=0.1, repeats=500
    )
    assert found.before == pytest.approx(float(f1(torch.stack([before, true], 1))))
    assert found.lower < found.difference == found.after - found.before < found.upper
    assert (found.metric, found.verdict) == ("f1", "same")
    assert found.method == "paired bootstrap, 500 resamples, seed 0"


def test_a_mean_as_a_metric_of_the_set_gives_what_the_mean_gives():
    before, after = torch.randn(2, 100).double()
    of_set = compare_metric(torch.mean, before, after, margin=0.1)
    by_item = compare(before, after, margin=0.1)
    assert of_set.lower == pytest.approx(by_item.lower)
    assert of_set.upper == pytest.approx(by_item.upper)


def test_rows_may_be_anything():
    boxes = [{"right": index % 3 > 0} for index in range(400)]

    def share(rows: list[dict[str, bool]]) -> float:
        return sum(row["right"] for row in rows) / len(rows)

    found = compare_metric(share, boxes, boxes, margin=0.02, repeats=50)
    assert found.before == found.after == share(boxes)
    assert (found.lower, found.upper) == (-unseen_share(400), unseen_share(400))


def test_a_metric_that_never_moves_is_as_uncertain_as_unseen_items():
    rows = torch.ones(300)
    found = compare_metric(torch.mean, rows, rows, margin=0.01, repeats=20)
    assert found.verdict == "not enough data to tell"
    assert found.items_least == 381


def test_a_metric_that_is_not_finite_is_refused():
    with pytest.raises(DataError, match="not finite"):
        compare_metric(lambda rows: math.nan, torch.ones(9), torch.ones(9), margin=0.1)


# -- what cannot be compared ------------------------------------------------------------------


@pytest.mark.parametrize("margin", [0.0, -0.01, math.nan])
def test_a_margin_must_be_above_0(margin):
    with pytest.raises(VerifyError, match=r"cannot be judged(.|\n)*say margin=0.01"):
        compare(torch.randn(5), torch.randn(5), margin=margin)


def test_a_margin_of_one_is_all_of_the_accuracy_not_one_point():
    right = torch.ones(5, dtype=torch.bool)
    with pytest.raises(VerifyError, match=r"margin=1 cannot be judged(.|\n)*below 1"):
        compare(right, right, margin=1)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (torch.ones(3), torch.ones(4), "3 items before but 4 after"),
        (torch.ones(0), torch.ones(0), r"values before have the shape \(0,\)"),
        (torch.ones(3), torch.ones(3, 1), r"values after have the shape \(3, 1\)"),
        (torch.tensor([1.0, math.nan]), torch.ones(2), "1 of 2 values before are NaN"),
        (torch.ones(2), torch.tensor([math.inf, 1.0]), "1 of 2 values after are NaN"),
    ],
)
def test_values_that_do_not_pair_are_refused(before, after, words):
    with pytest.raises(DataError, match=words):
        compare(before, after, margin=0.1)


def test_sets_that_do_not_pair_are_refused():
    with pytest.raises(DataError, match="3 items before but 4 after"):
        compare_metric(torch.mean, torch.ones(3), torch.ones(4), margin=0.1)
