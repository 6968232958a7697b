"""The charts of a report, as plotly reads them. None where the study has nothing to draw."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from prunus.study.analysis import Analysis, Cell
from prunus.study.report.blocks import Chart
from prunus.study.report.scales import (
    FAINT,
    GREY,
    AccuracyScale,
    Style,
    accuracy_scale,
    layout,
    ratio_axis,
    safe,
    share_axis,
    short,
    styles,
)
from prunus.study.words import place, threads_of, times, unit_of

_DODGE = 1.013  # neighbours at one budget stand this factor apart, so that intervals are seen

_LONGEST = 40  # characters of a name in a legend

Figure = Literal["macs", "params"]
_WORDS = {"macs": "MACs", "params": "parameters"}


# -- accuracy against size ----------------------------------------------------------------------


def kept_share(cell: Cell, figure: Figure, found: Analysis) -> float:
    """Return which share of a dense figure is left; of zeroed weights, what is not zero."""
    if figure == "macs":
        left = cell.mean(lambda run: run.macs)
    elif found.zeros_only(cell):
        left = cell.mean(lambda run: run.nonzero)
    else:
        left = cell.mean(lambda run: run.params)
    return left / float(found.facts.dense[figure])


def accuracy_chart(found: Analysis, granularity: str, figure: Figure) -> Chart | None:
    """Accuracy after recovery against what is left of a figure, a line per strategy."""
    cells = found.within(granularity)
    if figure == "macs" and granularity in found.zeroed:
        return None
    dense = float(found.facts.dense["accuracy"])
    accuracies = [dense, dense - found.facts.margin, *(cell.accuracy for cell in cells)]
    scale = accuracy_scale(accuracies, found)
    looks = styles(found)
    present = [name for name in found.strategies if any(c.strategy == name for c in cells)]
    shares = [100 * kept_share(cell, figure, found) for cell in cells]
    data = [_dense_line(found, scale, shares)]
    for position, strategy in enumerate(present):
        own = [cell for cell in cells if cell.strategy == strategy]
        shift = _DODGE ** (position - (len(present) - 1) / 2)
        data.append(_line(own, figure, found, scale=scale, look=looks[strategy], shift=shift))
    left = "non-zero " if granularity in found.zeroed else ""
    title = f"Accuracy after recovery against {left}{_WORDS[figure]} kept, {granularity} level"
    return Chart(
        name=f"accuracy-{figure}-{found.granularities.index(granularity)}",
        title=title,
        caption=_accuracy_caption(found, stretched=scale.stretched),
        alt=f"Line chart. {title}. {_best_and_worst(found, granularity)}",
        height=480,
        data=tuple(data),
        layout=layout(
            "plane",
            xaxis=share_axis(shares, f"{left}{_WORDS[figure]} kept (log scale)"),
            yaxis=scale.axis(accuracies),
            shapes=[_margin_band(found, scale)],
        ),
    )


def _line(
    cells: Sequence[Cell],
    figure: Figure,
    found: Analysis,
    *,
    scale: AccuracyScale,
    look: Style,
    shift: float,
) -> dict[str, Any]:
    ends = [_ends(cell, scale) for cell in cells]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": short(cells[0].strategy, _LONGEST),
        "x": [100 * kept_share(cell, figure, found) * shift for cell in cells],
        "y": [middle for _, middle, _ in ends],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [upper - middle for _, middle, upper in ends],
            "arrayminus": [middle - lower for lower, middle, _ in ends],
            "thickness": 1.2,
            "width": 3,
        },
        "line": {"color": look.colour, "dash": look.dash, "width": 2},
        "marker": {"symbol": look.marker, "size": 8, "color": look.colour},
        "text": [_hover(cell, found) for cell in cells],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _ends(cell: Cell, scale: AccuracyScale) -> tuple[float, float, float]:
    value = cell.over_seeds(lambda run: run.accuracy)
    reach = 0.0 if value is None or value.reach is None else value.reach
    ends = (cell.accuracy - reach, cell.accuracy, cell.accuracy + reach)
    lower, middle, upper = map(scale.place, ends)
    return lower, middle, upper


def _hover(cell: Cell, found: Analysis) -> str:
    value = cell.over_seeds(lambda run: run.accuracy)
    accuracy = unit_of(found).spread(value) if value else ""
    return f"<b>{safe(cell.strategy)}</b>, {place(cell.point)}<br>{accuracy}<br>{cell.verdict}"


def _dense_line(found: Analysis, scale: AccuracyScale, shares: Sequence[float]) -> dict[str, Any]:
    dense = found.facts.dense["accuracy"]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"dense, {unit_of(found).value(dense)}",
        "x": [min(shares) / 2, max(shares) * 2],
        "y": [scale.place(dense)] * 2,
        "line": {"color": GREY, "width": 1.5},
        "hoverinfo": "skip",
    }


def _margin_band(found: Analysis, scale: AccuracyScale) -> dict[str, Any]:
    dense = found.facts.dense["accuracy"]
    return {
        "type": "rect",
        "layer": "below",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": scale.place(dense - found.facts.margin),
        "y1": scale.place(dense),
        "fillcolor": FAINT,
        "line": {"width": 0},
    }


def _accuracy_caption(found: Analysis, *, stretched: bool) -> str:
    many = len(found.facts.seeds) > 1
    parts = [
        "The line is the dense model, the band below it the margin.",
        f"Whiskers are 95 % intervals over {len(found.facts.seeds)} seeds."
        if many
        else "With one seed there are no intervals.",
        "Points of one budget stand a little apart so that they can be seen.",
    ]
    if stretched:
        parts.append(
            "The scale is stretched towards 100 %: equal steps are equal ratios of errors."
        )
    return " ".join(parts)


def _best_and_worst(found: Analysis, granularity: str) -> str:
    sentences = []
    unit = unit_of(found)
    for point in found.points:
        if point.granularity == granularity:
            cells = sorted(found.at(point), key=lambda cell: cell.accuracy)
            best, worst = (
                f"{c.strategy} ({unit.value(c.accuracy)})" for c in (cells[-1], cells[0])
            )
            sentences.append(f"At {place(point)} the best is {best}, the worst {worst}.")
    return " ".join(sentences)


# -- measured speed -----------------------------------------------------------------------------


class _Speed(NamedTuple):
    """How many times fewer MACs a cell has, and how many times it is as fast."""

    fewer: float
    faster: float
    cell: Cell


def speed_chart(found: Analysis) -> Chart | None:
    """Measured speed-up against the reduction of MACs, a point per strategy and budget."""
    dense = float(found.facts.dense["macs"])
    speeds = [
        _Speed(dense / cell.mean(lambda run: run.macs), cell.speed_up.mean, cell)
        for cell in found.cells
        if cell.speed_up is not None and not found.zeros_only(cell)
    ]
    if not speeds:
        return None
    looks = styles(found)
    timed = [name for name in found.strategies if any(s.cell.strategy == name for s in speeds)]
    data = []
    for position, strategy in enumerate(timed):
        own = [speed for speed in speeds if speed.cell.strategy == strategy]
        shift = _DODGE ** (position - (len(timed) - 1) / 2)
        data.append(_speed_points(own, looks[strategy], shift=shift))
    ratios = [ratio for speed in speeds for ratio in (speed.fewer, speed.faster)]
    line = {"type": "line", "layer": "between", "x0": 0.01, "x1": 1000}
    title = "Measured speed-up against the reduction of MACs"
    return Chart(
        name="speed",
        title=title,
        caption=f"Batch {found.facts.batch}, {threads_of(found.facts.threads)}. On the slanted "
        "line a network is faster by as much as it has fewer MACs; below it, less. Below the level "
        "line it is slower than dense. Neighbours stand a little apart, along the slanted line.",
        alt=f"Scatter chart. {title}. The largest measured speed-up is "
        f"{times(max(speed.faster for speed in speeds))}.",
        height=460,
        data=tuple(data),
        layout=layout(
            "plane",
            xaxis=ratio_axis(ratios, "MACs of the dense model over MACs of the result"),
            yaxis=ratio_axis(ratios, "measured speed-up"),
            shapes=[
                {**line, "y0": 0.01, "y1": 1000, "line": {"color": GREY, "width": 1.5}},
                {**line, "y0": 1, "y1": 1, "line": {"color": GREY, "width": 1, "dash": "dot"}},
            ],
        ),
    )


def _speed_points(speeds: Sequence[_Speed], look: Style, *, shift: float) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": short(speeds[0].cell.strategy, _LONGEST),
        "x": [speed.fewer * shift for speed in speeds],
        "y": [speed.faster * shift for speed in speeds],
        "marker": {
            "symbol": f"{look.marker}-open",
            "size": 10,
            "color": look.colour,
            "line": {"width": 2},
        },
        "text": [
            f"<b>{safe(cell.strategy)}</b>, {cell.point.granularity}, {place(cell.point)}<br>"
            f"MACs down {times(fewer)}, speed up {times(faster)}"
            for fewer, faster, cell in speeds
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }
