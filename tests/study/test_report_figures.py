"""The charts: plotly takes them, and they show the numbers of the study."""

import itertools
from typing import Any

import pytest
from plotly.graph_objects import Figure
from sample import CHANNELS, DENSE, make_run, make_study, over_seeds, sample_study

from prunus.study.analysis import analyse
from prunus.study.report.blocks import Chart
from prunus.study.report.content import build
from prunus.study.report.cost_figure import cost_chart
from prunus.study.report.figures import accuracy_chart, speed_chart
from prunus.study.report.row_figures import kept_chart, recovery_chart
from prunus.study.report.scales import accuracy_scale, styles

FOUND = analyse(sample_study())
CHARTS = [
    block
    for section in build(sample_study()).sections
    for block in section.blocks
    if isinstance(block, Chart)
]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_plotly_knows_every_field(chart: Chart) -> None:
    Figure(data=list(chart.data), layout=dict(chart.layout))  # raises for one it does not know


def trace(chart: Chart | None, name: str) -> dict[str, Any]:
    assert chart is not None
    return next(dict(trace) for trace in chart.data if trace.get("name") == name)


def test_strategies_differ_in_colour_marker_and_dash_and_controls_are_grey() -> None:
    looks = styles(FOUND)
    pruned = [looks[name] for name in FOUND.strategies[:6]]

    for one, other in itertools.combinations(pruned, 2):
        assert one.colour != other.colour
        assert (one.marker, one.dash) != (other.marker, other.dash)
    assert looks["random"].colour == looks["scratch"].colour
    assert looks["random"].marker != looks["scratch"].marker


def test_accuracy_stands_where_it_was_measured() -> None:
    runs = [*over_seeds("magnitude", [0.96, 0.97, 0.98], macs=DENSE["macs"] // 2)]
    chart = accuracy_chart(analyse(make_study(*runs)), "channel", "macs")
    line = trace(chart, "magnitude")

    assert line["x"] == [pytest.approx(50)]
    assert line["y"] == [pytest.approx(97)]
    assert line["error_y"]["array"] == [pytest.approx(2.484, abs=1e-3)]  # 4.303 / sqrt(3)
    assert line["error_y"]["arrayminus"] == [pytest.approx(2.484, abs=1e-3)]
    assert trace(chart, "dense, 98.3 %")["y"] == [pytest.approx(98.3)] * 2


def test_zeroed_weights_are_counted_by_what_is_not_zero() -> None:
    chart = accuracy_chart(FOUND, "weight", "params")
    line = trace(chart, "taylor")

    assert accuracy_chart(FOUND, "weight", "macs") is None
    assert line["x"] == pytest.approx([50, 25, 10], rel=0.1)


def test_a_collapse_stretches_the_scale_and_ticks_stay_true() -> None:
    scale = accuracy_scale([0.98, 0.40], FOUND)
    axis = scale.axis([0.98, 0.40])

    assert scale.stretched
    assert axis["tickvals"][axis["ticktext"].index("90 %")] == pytest.approx(scale.place(0.9))
    assert axis["tickvals"] == sorted(axis["tickvals"], reverse=True)
    assert not accuracy_scale([0.98, 0.97], FOUND).stretched


def test_no_error_at_all_has_a_place() -> None:
    scale = accuracy_scale([1.0, 0.9], analyse(make_study(items=100)))
    axis = scale.axis([1.0, 0.9])

    assert axis["ticktext"][0] == "100 %"
    assert axis["tickvals"][0] == scale.place(1.0) == pytest.approx(scale.place(0.995))


def test_three_accuracies_a_row() -> None:
    chart = recovery_chart(analyse(make_study(make_run(accuracy=0.98))), "channel")

    assert trace(chart, "right after the cut")["x"] == [40]
    assert trace(chart, "after batch norm")["x"] == [70]
    assert trace(chart, "after recovery")["x"] == [98]


def test_what_is_kept_is_a_mean_over_seeds() -> None:
    runs = [make_run(seed=0, kept={"a": (2, 8)}), make_run(seed=1, kept={"a": (4, 8)})]
    chart = kept_chart(analyse(make_study(*runs)), "channel")

    assert chart is not None
    assert chart.data[0]["z"] == [[None], [37.5]]
    assert chart.numbers is not None
    assert [entry.text for entry in chart.numbers.parts[0].rows[0]] == ["a", "37.5 %"]


def test_many_groups_get_thin_rows() -> None:
    kept = {f"layers.{number}": (4, 8) for number in range(500)}
    many = kept_chart(analyse(make_study(make_run(kept=kept))), "channel")
    few = kept_chart(FOUND, "channel")

    assert many is not None
    assert few is not None
    assert many.height < 3000
    assert len(few.data[0]["z"]) == 3 * (len(CHANNELS) + 1)


def test_costs_are_stacked_and_tabled() -> None:
    runs = [
        make_run(score_seconds=0.5, penalty_seconds=2.0, recover_seconds=6.0),
        make_run("scratch", kind="scratch", score_seconds=None, score_bytes=None),
    ]
    chart = cost_chart(analyse(make_study(*runs)))

    assert trace(chart, "score and choose")["x"] == [0.5, 0]
    assert trace(chart, "recover")["x"] == [6, 6]
    assert chart.data[-1]["x"] == [8.5, 6]
    assert chart.numbers is not None
    first, second = chart.numbers.parts[0].rows
    assert [e.text for e in first] == ["magnitude", "0.5 s", "2.0 s", "6.0 s", "200 kB"]
    assert [e.text for e in second] == ["scratch", "-", "-", "6.0 s", "-"]


def test_speed_is_that_of_what_became_smaller() -> None:
    chart = speed_chart(FOUND)
    assert chart is not None
    (x,) = trace(speed_chart(analyse(make_study(make_run(macs=262_048)))), "magnitude")["x"]

    assert x == pytest.approx(4)
    assert len(trace(chart, "taylor")["x"]) == 3  # channel level only
    assert len(trace(chart, "scratch")["x"]) == 6
    assert speed_chart(analyse(make_study(make_run(latency=None)))) is None
