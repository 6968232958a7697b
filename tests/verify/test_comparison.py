"""What a comparison says, in words."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prunus.verify.comparison import name_of, verdict_of
from prunus.verify.paired import compare
from prunus.verify.statistics import Interval


def correctness(items: int, *, wrong: int, lost: int, gained: int) -> tuple[torch.Tensor, ...]:
    """Bool (N,) before and after: `wrong` items wrong before, of which `gained` are right after."""
    before = torch.ones(items, dtype=torch.bool)
    before[:wrong] = False
    after = before.clone()
    after[:gained] = True
    after[items - lost :] = False
    return before, after


def test_few_items_leave_it_open_and_say_how_many_would_not():
    found = compare(*correctness(360, wrong=8, lost=5, gained=3), margin=0.03)
    assert str(found) == (
        "accuracy 97.8 % -> 97.2 %: -0.6 points, 95 % interval -2.5 to +1.2, "
        "on 360 test items (5 lost, 3 gained)\n"
        "verdict: same (the drop, if any, is below 3 points)"
    )
    tighter = compare(*correctness(360, wrong=8, lost=5, gained=3), margin=0.02)
    assert str(tighter).splitlines()[1] == (
        "verdict: not enough data to tell whether the drop is below 2 points; "
        "about 1,100 test items would"
    )


def test_a_margin_out_of_reach_is_said_to_be():
    found = compare(*correctness(360, wrong=8, lost=0, gained=0), margin=0.01)
    assert str(found).splitlines()[1:] == [
        "verdict: not enough data to tell whether the drop is below 1 point",
        "360 test items cannot show a drop below 1 point, even if nothing changed: that takes 381",
    ]


def test_a_clear_drop_is_called_worse():
    found = compare(*correctness(10_000, wrong=500, lost=900, gained=100), margin=0.005)
    assert str(found) == (
        "accuracy 95.00 % -> 87.00 %: -8.00 points, 95 % interval -8.61 to -7.41, "
        "on 10,000 test items (900 lost, 100 gained)\n"
        "verdict: worse (the drop is above 0.5 points)"
    )


def test_values_are_printed_as_plain_numbers():
    before = torch.linspace(-2, 0, 1500)
    found = compare(before, before - 0.001, margin=0.01, metric="negative loss")
    assert str(found) == (
        "negative loss -1 -> -1.001: -0.001, 95 % interval -0.001 to -0.001, "
        "on 1,500 test items\n"
        "verdict: same (the drop, if any, is below 0.01)"
    )


def test_a_tiny_difference_has_no_minus_before_its_zero():
    found = compare(*correctness(100_000, wrong=5, lost=1, gained=0), margin=0.01)
    assert "% -> 99.99 %: +0.00 points" in str(found)


@pytest.mark.parametrize(
    ("lower", "upper", "verdict"),
    [
        (-0.009, 0.02, "same"),
        (0.02, 0.03, "same"),  # better is fine
        (-0.01, 0.02, "not enough data to tell"),
        (-0.02, -0.01, "not enough data to tell"),
        (-0.02, -0.011, "worse"),
    ],
)
def test_the_verdict_needs_the_whole_interval_on_one_side(lower, upper, verdict):
    assert verdict_of(Interval(lower, upper), margin=0.01) == verdict


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0.001, 0.5), st.floats(1.01, 3))
def test_a_wider_margin_never_turns_to_the_worse(lower, width, margin, factor):
    order = ["worse", "not enough data to tell", "same"]
    interval = Interval(lower, lower + width)
    strict, lenient = (verdict_of(interval, margin=m) for m in (margin, factor * margin))
    assert order.index(strict) <= order.index(lenient)


def test_metrics_are_named_after_their_function():
    class Overlap:
        def __call__(self, outputs, targets): ...

    assert name_of(Overlap()) == "Overlap"
    assert name_of(lambda outputs, targets: 0) == "metric"
