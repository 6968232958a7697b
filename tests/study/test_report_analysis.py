"""Runs sorted into cells, figures over seeds, and what counts as noise."""

import pytest
from sample import comparison, make_run, make_study, over_seeds, sample_study
from scipy import stats

from prunus.study.analysis import Cell, analyse, estimate, gap
from prunus.study.records import Run

ITEMS = 1000


def cell_of(runs: list[Run]) -> Cell:
    (cell,) = analyse(make_study(*runs)).cells
    return cell


def relation(one: list[float], other: list[float], *, items: int = ITEMS) -> str:
    found = analyse(make_study(*over_seeds("a", one), *over_seeds("b", other), items=items))
    return found.relation(*found.cells)


def test_an_estimate_is_that_of_scipy() -> None:
    values = [0.91, 0.94, 0.93, 0.97]
    found = estimate(values)
    interval = stats.ttest_1samp(values, 0).confidence_interval()

    assert found is not None
    assert found.reach is not None
    assert found.mean == pytest.approx(0.9375)
    assert found.mean - found.reach == pytest.approx(interval.low)
    assert found.mean + found.reach == pytest.approx(interval.high)


def test_the_sample_is_sorted_by_what_it_is_good_for() -> None:
    found = analyse(sample_study())

    assert found.granularities == ("channel", "weight")  # weights ran first, and only zero
    assert [point.fraction for point in found.points] == [0.5, 0.25, 0.1] * 2
    assert found.strategies[-2:] == ("random", "scratch")
    assert found.zeroed == {"weight"}
    assert len(found.cells) == 8 * 3 * 2
    assert all(len(cell.runs) == 3 for cell in found.cells)


def test_a_study_without_runs_is_empty() -> None:
    found = analyse(make_study())

    assert found.points == found.cells == found.strategies == ()


def test_a_gap_is_paired_by_seed() -> None:
    one, other = over_seeds("a", [0.90, 0.95]), over_seeds("b", [0.92, 0.90, 0.99])
    found = gap(cell_of(one), cell_of(list(reversed(other))))

    assert found is not None
    assert found.mean == pytest.approx((-0.02 + 0.05) / 2)


def test_without_a_common_seed_there_is_no_gap() -> None:
    assert gap(cell_of([make_run(seed=0)]), cell_of([make_run(seed=1)])) is None


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([0.95, 0.96, 0.95], [0.90, 0.91, 0.91], "better"),
        ([0.90, 0.91, 0.91], [0.95, 0.96, 0.95], "worse"),
        ([0.95, 0.90, 0.97], [0.94, 0.93, 0.95], "within noise"),
        ([0.95], [0.5], "unknown"),
    ],
)
def test_relations(one: list[float], other: list[float], expected: str) -> None:
    assert relation(one, other) == expected


def test_one_test_item_is_noise_even_if_all_seeds_agree() -> None:
    assert relation([0.951] * 3, [0.950] * 3) == "within noise"
    assert relation([0.952] * 3, [0.950] * 3) == "better"


SAME = comparison(0.0, lower=-0.01, upper=0.01)
WORSE = comparison(-0.1, lower=-0.2, upper=-0.05)
OPEN = comparison(-0.02, lower=-0.05, upper=0.01)


@pytest.mark.parametrize(
    ("comparisons", "expected"),
    [
        ([SAME, SAME, OPEN], "same"),
        ([SAME, SAME, WORSE], "not enough data to tell"),
        ([SAME, OPEN], "not enough data to tell"),
        ([WORSE, WORSE, SAME], "worse"),
        ([OPEN], "not enough data to tell"),
    ],
)
def test_the_verdict_is_that_of_most_seeds(comparisons: list[dict], expected: str) -> None:
    runs = [make_run(seed=seed, comparison=one) for seed, one in enumerate(comparisons)]

    assert cell_of(runs).verdict == expected


def test_speed_up_is_a_mean_of_ratios_and_none_where_nothing_was_timed() -> None:
    runs = [
        make_run(seed=0, latency=1.0, latency_dense=2.0),
        make_run(seed=1, latency=2.0, latency_dense=2.0),
        make_run(seed=2, latency=None),
    ]
    found = cell_of(runs).speed_up

    assert found is not None
    assert found.mean == pytest.approx(1.5)
    assert cell_of(runs[2:]).speed_up is None


@pytest.mark.parametrize(
    ("needs", "labour"),
    [((), 0), (("data",), 1), (("labels", "data"), 2), (("training",), 3), (("luck",), 4)],
)
def test_labour_is_that_of_the_most_laborious_need(needs: tuple[str, ...], labour: int) -> None:
    assert cell_of([make_run(needs=needs)]).labour == labour


def test_a_seed_that_ran_twice_counts_once() -> None:
    found = cell_of([make_run(accuracy=0.5), make_run(accuracy=0.9)])

    assert [run.accuracy for run in found.runs] == [0.9]
