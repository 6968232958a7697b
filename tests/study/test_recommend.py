"""Every branch of the rule by which a study ends in advice."""

from typing import Any

import pytest
from sample import DENSE, comparison, make_run, make_study, over_seeds, sample_study

from prunus.study.recommend import Recommendation, recommend
from prunus.study.records import Run

GOOD = [0.980, 0.979, 0.981]
BAD = [0.90, 0.91, 0.90]
QUARTER: dict[str, Any] = {"budget": "macs=0.25", "fraction": 0.25}
SCRATCH: dict[str, Any] = {"kind": "scratch", "needs": ("data", "labels", "training"), "kept": {}}
OPEN = comparison(-0.01, lower=-0.05, upper=0.02)


def advice(*groups: list[Run], **facts: Any) -> Recommendation:
    (found,) = recommend(make_study(*(run for group in groups for run in group), **facts))
    return found


def test_the_smallest_budget_that_is_the_same_wins() -> None:
    found = advice(
        over_seeds("magnitude", GOOD),
        over_seeds("taylor", GOOD, needs=("data", "labels"), **QUARTER),
        over_seeds("magnitude", BAD, **QUARTER),
    )

    assert found.advice == "prune"
    assert found.headline == "Prune at channel level with taylor, down to 25 % of the MACs."
    assert found.reasons[0].replace("\N{MINUS SIGN}", "-") == (
        "Its accuracy is 98.0 %, that of the dense model 98.3 %: -0.3 points (95 % interval -1.1 "
        "to +0.5). That is the same, at the margin of 2 points, on 3 of 3 seeds."
    )
    assert "No smaller budget was tried." in found.reasons


def test_of_what_seed_noise_hides_the_simplest_wins() -> None:
    found = advice(
        over_seeds("group-lasso", [0.983, 0.979, 0.985], needs=("data", "labels", "training")),
        over_seeds("taylor", [0.981, 0.982, 0.981], needs=("data", "labels")),
        over_seeds("magnitude", [0.980, 0.983, 0.979]),
    )

    assert found.cell is not None
    assert found.cell.strategy == "magnitude"
    assert (
        "It cannot be told apart from group-lasso and taylor: a difference inside seed noise. "
        "Of these it needs least (weights only)." in found.reasons
    )


def test_what_is_better_by_more_than_noise_wins_though_it_needs_more() -> None:
    found = advice(
        over_seeds("taylor", [0.990, 0.991, 0.990], needs=("data", "labels")),
        over_seeds("magnitude", [0.975, 0.976, 0.975]),
    )

    assert found.cell is not None
    assert found.cell.strategy == "taylor"
    assert "It is the most accurate there, by more than seed noise." in found.reasons


def test_scratch_that_is_as_accurate_beats_pruning() -> None:
    found = advice(
        over_seeds("magnitude", GOOD), over_seeds("scratch", [0.981, 0.982, 0.980], **SCRATCH)
    )

    assert found.advice == "small dense"
    assert found.headline == (
        "None of these at channel level: take the small dense network, trained from scratch, "
        "with 50 % of the MACs."
    )
    assert found.reasons[1] == (
        "The pick among the pruned, magnitude, is not more accurate: 98.0 % (a difference inside "
        "seed noise)."
    )


def test_scratch_at_a_smaller_budget_beats_pruning() -> None:
    found = advice(over_seeds("magnitude", GOOD), over_seeds("scratch", GOOD, **SCRATCH, **QUARTER))

    assert found.advice == "small dense"
    assert "Pruning keeps the accuracy only down to 50 % of the MACs." in found.reasons


def test_scratch_that_is_less_accurate_loses_and_is_mentioned() -> None:
    found = advice(
        over_seeds("magnitude", GOOD), over_seeds("scratch", [0.971, 0.969, 0.971], **SCRATCH)
    )

    assert found.advice == "prune"
    assert (
        "A dense network of the same cost, trained from scratch, reaches 97.0 % (1.0 point less)."
        in found.reasons
    )


def test_scratch_that_is_not_proven_the_same_loses_and_is_mentioned() -> None:
    found = advice(
        over_seeds("magnitude", GOOD),
        over_seeds("scratch", [0.985] * 3, **SCRATCH, comparison=OPEN),
    )

    assert found.advice == "prune"
    assert (
        "A dense network of the same cost, trained from scratch, reaches 98.5 % (0.5 points more); "
        "the test items do not show that to be the same as dense." in found.reasons
    )


def test_scratch_wins_where_no_pruned_model_is_the_same() -> None:
    found = advice(over_seeds("magnitude", BAD), over_seeds("scratch", GOOD, **SCRATCH))

    assert found.advice == "small dense"
    assert "No pruned model has the verdict “same” at any budget." in found.reasons


def test_stay_dense_where_all_are_worse() -> None:
    found = advice(over_seeds("magnitude", BAD), over_seeds("scratch", BAD, **SCRATCH))

    assert found.advice == "stay dense"
    assert found.headline == "Stay dense: at channel level every network loses more than 2 points."
    assert found.reasons == (
        "The nearest is magnitude at 50 % of the MACs: 90.3 % against 98.3 % dense.",
    )


def test_not_enough_data_where_nothing_is_the_same_and_not_all_is_worse() -> None:
    unsettled = OPEN | {"items_needed": 2400}
    found = advice(over_seeds("magnitude", GOOD, comparison=unsettled), over_seeds("taylor", BAD))

    assert found.advice == "not enough data"
    assert found.headline.startswith("Not enough data to tell at channel level")
    assert "1 of 2 are not shown to be worse either." in found.reasons[0]
    assert found.reasons[-1] == (
        "360 test items and 3 seeds were used; about 2,400 items would settle the first."
    )


def test_one_seed_of_three_is_not_enough() -> None:
    assert advice(over_seeds("magnitude", GOOD[:1])).advice == "not enough data"


def test_two_seeds_of_three_are_enough_and_the_third_is_missed() -> None:
    found = advice(over_seeds("magnitude", GOOD[:2]))

    assert found.advice == "prune"
    assert found.reasons[0].endswith("on 2 of 2 seeds (1 of 3 have not finished).")


def test_a_study_of_one_seed_does_not_rank() -> None:
    found = advice(
        over_seeds("taylor", [0.985], needs=("data", "labels")),
        over_seeds("magnitude", [0.975]),
        over_seeds("random", [0.970], kind="control"),
        seeds=(0,),
    )

    assert found.cell is not None
    assert found.cell.strategy == "magnitude"
    assert (
        "One seed does not tell it apart from taylor. Of these it needs least (weights only)."
        in found.reasons
    )
    assert (
        "One seed does not tell it apart from a random choice (97.5 % against 97.0 %)."
        in found.reasons
    )


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([0.971, 0.970, 0.972], "It is better than a random choice: 98.0 % against 97.1 %."),
        ([0.990, 0.989, 0.991], "A random choice is better: 98.0 % against 99.0 %."),
        ([0.979, 0.982, 0.977], "It is not shown to be better than a random choice: 98.0 % "),
    ],
)
def test_random_is_always_mentioned(accuracies: list[float], expected: str) -> None:
    found = advice(over_seeds("magnitude", GOOD), over_seeds("random", accuracies, kind="control"))

    assert found.advice == "prune"
    assert any(reason.startswith(expected) for reason in found.reasons)


@pytest.mark.parametrize(
    ("accuracies", "guesses"), [([0.979, 0.982, 0.977], 1), ([0.99, 0.94, 0.90], 0)]
)
def test_noise_hides_small_and_large_differences(accuracies: list[float], guesses: int) -> None:
    found = advice(over_seeds("magnitude", GOOD), over_seeds("random", accuracies, kind="control"))
    (reason,) = [one for one in found.reasons if one.startswith("It is not shown to be better")]

    assert reason.count("may matter less than how many.") == guesses


def test_what_was_not_compared_is_said() -> None:
    text = " ".join(advice(over_seeds("magnitude", GOOD)).reasons)

    assert "No random control has run there" in text
    assert "No dense network of the same cost was trained from scratch" in text


def test_zeros_are_not_sold_as_speed() -> None:
    zeros: dict[str, Any] = {"params": DENSE["params"], "granularity": "weight", "latency": 2.0}
    found = advice(over_seeds("magnitude", GOOD, **zeros))
    (gain,) = [reason for reason in found.reasons if "zeros" in reason]

    assert gain.startswith("It makes zeros in dense tensors, nothing else")
    assert "Speed-up: 0.90x (batch 32, 1 thread)" in gain


def test_smaller_tensors_are_sold_by_what_was_measured() -> None:
    reasons = advice(over_seeds("magnitude", GOOD)).reasons

    assert "Measured speed-up: 1.80x (batch 32, 1 thread). It stores 50 % of the bytes." in reasons


def test_a_speed_that_was_not_measured_is_not_made_up() -> None:
    reasons = advice(over_seeds("magnitude", GOOD, latency=None)).reasons

    assert "Measured speed-up: not measured. It stores 50 % of the bytes." in reasons


def test_the_saved_model_is_named() -> None:
    reasons = advice(over_seeds("magnitude", GOOD, folder="models/one")).reasons

    assert reasons[-1] == "The model of seed 0 is saved in models/one."


def test_random_alone_is_no_advice() -> None:
    found = advice(over_seeds("random", GOOD, kind="control"))

    assert found.advice == "not enough data"
    assert found.reasons == ("Only the random control has run.",)


def test_a_granularity_that_makes_models_smaller_comes_first() -> None:
    found = recommend(sample_study())

    assert [one.granularity for one in found] == ["channel", "weight"]
    assert [one.advice for one in found] == ["prune", "prune"]


def test_a_study_without_runs_measured_nothing() -> None:
    found = advice()

    assert found.advice == "not enough data"
    assert found.headline == "Nothing has been measured yet."


def test_worse_on_one_seed_is_not_the_same() -> None:
    runs = [*over_seeds("magnitude", GOOD[:2]), make_run("magnitude", accuracy=0.9, seed=2)]

    assert advice(runs).advice == "not enough data"
