"""Which model is taken home, on studies made by hand."""

import pytest
from sample import comparison, make_run, make_study, over_seeds

from prunus.errors import StudyError
from prunus.study import Run, best

SAME = comparison(0.0, lower=-0.01, upper=0.01)
WORSE = comparison(-0.1, lower=-0.12, upper=-0.08)


def quarter(**changes: object) -> dict[str, object]:
    return {"budget": "macs=0.25", "target": "macs", "fraction": 0.25, **changes}


def test_the_smallest_that_is_the_same_wins() -> None:
    study = make_study(
        *over_seeds("magnitude", [0.99, 0.99, 0.99], comparison=SAME),
        *over_seeds("taylor", [0.97, 0.98, 0.97], comparison=SAME, **quarter()),
        *over_seeds("l1", [0.98, 0.98, 0.98], comparison=WORSE, **quarter()),
    )

    assert (best(study).strategy, best(study).budget) == ("taylor", "macs=0.25")


def test_the_first_seed_is_taken_and_not_the_luckiest() -> None:
    study = make_study(*over_seeds("magnitude", [0.97, 0.99, 0.98], comparison=SAME))

    assert best(study).seed == 0


def test_where_none_is_the_same_the_most_accurate_wins() -> None:
    study = make_study(
        *over_seeds("magnitude", [0.90, 0.91], comparison=WORSE),
        *over_seeds("taylor", [0.80, 0.93], comparison=WORSE),
    )

    assert best(study).strategy == "magnitude"


def test_of_a_tie_the_one_that_needs_least_wins() -> None:
    needy = {"needs": ("data", "labels"), "comparison": SAME}
    study = make_study(
        *over_seeds("taylor", [0.981, 0.980, 0.982], **needy),
        *over_seeds("magnitude", [0.980, 0.981, 0.981], comparison=SAME),
    )

    assert best(study).strategy == "magnitude"


@pytest.mark.parametrize(
    "run",
    [
        make_run("random", kind="control"),
        make_run("scratch", kind="scratch"),
        make_run("magnitude", granularity="weight"),
    ],
)
def test_controls_and_other_granularities_are_never_taken(run: Run) -> None:
    with pytest.raises(StudyError, match="no run has pruned anything at granularity 'channel'"):
        best(make_study(run))
