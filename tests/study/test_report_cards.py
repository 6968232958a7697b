"""What is said for and against a strategy, by hand."""

from typing import Any

import pytest
from sample import DENSE, Run, make_run, make_study, over_seeds

from prunus.study.analysis import analyse
from prunus.study.report.blocks import Balance, Paragraph
from prunus.study.report.cards import card

TENTH: dict[str, Any] = {"budget": "macs=0.1", "fraction": 0.1}


def said(*runs: Run, strategy: str = "magnitude") -> tuple[str, list[str], list[str]]:
    """Return the first paragraph, the advantages and the drawbacks."""
    found = card(strategy, analyse(make_study(*runs)), ())
    balances = [block for block in found.blocks if isinstance(block, Balance)]
    paragraph = next(block.text for block in found.blocks if isinstance(block, Paragraph))
    pros = [sentence for balance in balances for sentence in balance.advantages]
    return paragraph, pros, [sentence for balance in balances for sentence in balance.drawbacks]


@pytest.mark.parametrize(
    ("needs", "sentence"),
    [
        ((), "Needs the weights only: no data, no labels, no training before the cut."),
        (("data", "labels"), "Needs data and labels to choose what to keep."),
        (("training", "labels", "data"), "Needs data, labels and training to choose what to keep."),
    ],
)
def test_what_it_needs(needs: tuple[str, ...], sentence: str) -> None:
    assert said(make_run(needs=needs))[0].startswith(sentence)


def test_what_it_costs() -> None:
    run = make_run(score_seconds=0.25, score_bytes=1_500_000, penalty_seconds=12.0)

    assert said(run)[0].endswith(
        "One model takes 0.25 s and 1.5 MB of extra memory to score and choose, 12 s of training "
        "under the penalty and 6.0 s to recover."
    )


def test_as_accurate_here_and_worse_there() -> None:
    runs = [*over_seeds("magnitude", [0.98] * 3), *over_seeds("magnitude", [0.93] * 3, **TENTH)]
    _, pros, cons = said(*runs)

    assert "As accurate as the dense model at 50 % of the MACs." in pros
    assert "Worse than the dense model, by more than the margin, at 10 % of the MACs." in cons


def test_against_random_and_scratch() -> None:
    _, pros, cons = said(
        *over_seeds("magnitude", [0.975, 0.980, 0.978]),
        *over_seeds("random", [0.978, 0.977, 0.974], kind="control"),
        *over_seeds("scratch", [0.950, 0.953, 0.951], kind="scratch"),
        *over_seeds("magnitude", [0.950, 0.953, 0.951], **TENTH),
        *over_seeds("random", [0.930, 0.930, 0.932], kind="control", **TENTH),
    )

    assert "No better than a random choice at 50 % of the MACs (within seed noise)." in cons
    assert "Better than a random choice at 10 % of the MACs, by 2.1 points." in pros
    assert (
        "Better than a small dense network from scratch at 50 % of the MACs, by 2.6 points." in pros
    )


def test_controls_are_not_compared_with_themselves() -> None:
    runs = over_seeds("random", [0.97, 0.98, 0.99], kind="control")

    assert not any("random choice" in line for line in said(*runs, strategy="random")[2])


def test_collapse_is_named_once_at_the_first_budget() -> None:
    cons = said(
        make_run(accuracy=0.98, accuracy_cut=0.11),
        make_run(accuracy=0.80, budget="macs=0.25", fraction=0.25),
        make_run(accuracy=0.40, **TENTH),
    )[2]

    assert "Needs recovery: 11.0 % right after the cut to 50 % of the MACs." in cons
    assert [line for line in cons if "Collapses" in line] == [
        "Collapses at 25 % of the MACs: 18.3 points below dense after recovery."
    ]


def test_hardly_any_recovery_needed() -> None:
    pros = said(make_run(accuracy_cut=0.975))[1]

    assert "Hardly needs recovery: 97.5 % right after the cut to 50 % of the MACs." in pros


def test_starved_groups_are_named() -> None:
    kept = {"stem": (1, 64), "body": (32, 64), **{f"block{n}": (0, 8) for n in range(4)}}
    cons = said(make_run(kept=kept))[2]

    assert (
        "At 50 % of the MACs it leaves little of stem (1 of 64), block0 (0 of 8), "
        "block1 (0 of 8) and 2 more." in cons
    )


def test_speed_and_bytes_of_smaller_tensors() -> None:
    _, pros, cons = said(
        make_run(latency=1.0, latency_dense=2.0),
        make_run(latency=2.0, latency_dense=2.0, bytes=11_566, **TENTH),
    )

    assert "Measured speed-up 2.00x at 50 % of the MACs." in pros
    assert "Not faster (measured 1.00x) at 10 % of the MACs." in cons
    assert "Saves 50 and 90 % of the stored bytes at 50 and 10 % of the MACs." in pros


def test_zeros_save_nothing() -> None:
    dense = {"params": DENSE["params"], "bytes": DENSE["bytes"], "latency": 1.8}
    _, pros, cons = said(make_run(**dense, granularity="weight"))

    assert "Not faster: zeros in dense tensors (measured 1.00x)." in cons
    assert "Saves no bytes: zeros are stored like any other number." in cons
    assert not any("speed-up" in line or "bytes" in line for line in pros)
