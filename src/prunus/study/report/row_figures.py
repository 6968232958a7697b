"""The charts of a report that have a row per strategy or per group. None where nothing is known."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from prunus.study.analysis import Analysis, Cell
from prunus.study.records import Run
from prunus.study.report.blocks import Chart, Entry, Rows, Table
from prunus.study.report.cards import STARVED
from prunus.study.report.scales import COLOURS, GREY, ROW, RowPlan, labels, layout, row_plan, safe
from prunus.study.words import Unit, percent, place, unit_of

_RED = "#e57a66"
_KEPT_COLOURS = [[0, _RED], [STARVED, _RED], [STARVED, "#edf4fa"], [1, "#5b9bd5"]]
_ON_COLOUR = "#14202b"  # of text on any of them
_FEW = 24  # groups; more get rows without numbers, of _SMALL pixels, names beside them
_TALL, _SMALL, _THIN = 2400, 12, 3  # or thinner still and without names, about _TALL together


class _Stage(NamedTuple):
    """A moment at which accuracy is measured, and how it is drawn."""

    name: str
    symbol: str
    colour: str
    figure: Callable[[Run], float | None]


_STAGES = (
    _Stage("right after the cut", "circle-open", GREY, lambda run: run.accuracy_cut),
    _Stage("after batch norm", "diamond", COLOURS[1], lambda run: run.accuracy_batch_norm),
    _Stage("after recovery", "circle", COLOURS[0], lambda run: run.accuracy),
)


# -- before and after recovery ------------------------------------------------------------------


def recovery_chart(found: Analysis, granularity: str) -> Chart:
    """Accuracy right after the cut, after batch norm and after recovery, a row per strategy."""
    cells, unit = found.within(granularity), unit_of(found)
    points = dict.fromkeys(cell.point for cell in cells)
    plan = row_plan((place(point), [c.strategy for c in found.at(point)]) for point in points)
    rows = [row for row, _ in plan.rows]
    stages = [_stage(cells, rows, stage, unit) for stage in _STAGES]
    dense = unit.factor * found.facts.dense["accuracy"]
    ends = [dense, *(accuracy for stage in stages for accuracy in stage["x"])]
    pad = 0.05 * (max(ends) - min(ends)) or 1.0
    title = f"Accuracy before and after recovery, {granularity} level"
    return Chart(
        name=f"recovery-{found.granularities.index(granularity)}",
        title=title,
        caption="What the cut costs and what each step wins back, mean over seeds. The line is the "
        "dense model.",
        alt=f"Dot chart. {title}. The numbers are in the table of this level.",
        height=ROW * plan.count + 110,
        data=(_bridges(cells, rows, unit.factor), *stages),
        layout=layout(
            "rows",
            xaxis={
                "range": [min(ends) - pad, max(ends) + pad],
                "ticksuffix": unit.suffix,
                "zeroline": False,
            },
            yaxis=plan.axis(),
            annotations=plan.annotations(),
            shapes=[
                {
                    "type": "line",
                    "layer": "between",
                    "x0": dense,
                    "x1": dense,
                    "yref": "paper",
                    "y0": 0,
                    "y1": 1,
                    "line": {"color": GREY, "width": 1.5},
                }
            ],
        ),
    )


def _stage(cells: Sequence[Cell], rows: Sequence[int], stage: _Stage, unit: Unit) -> dict[str, Any]:
    known = [
        (row, cell, cell.over_seeds(stage.figure)) for row, cell in zip(rows, cells, strict=True)
    ]
    shown = [(row, cell, value.mean) for row, cell, value in known if value is not None]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": stage.name,
        "x": [unit.factor * accuracy for _, _, accuracy in shown],
        "y": [row for row, _, _ in shown],
        "marker": {
            "symbol": stage.symbol,
            "size": 9,
            "color": stage.colour,
            "line": {"color": stage.colour, "width": 2},
        },
        "text": [
            f"<b>{safe(cell.strategy)}</b>, {stage.name}: {unit.value(accuracy)}"
            for _, cell, accuracy in shown
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _bridges(cells: Sequence[Cell], rows: Sequence[int], factor: int) -> dict[str, Any]:
    """Return one trace with a line per row, from the accuracy after the cut to the last."""
    x: list[float | None] = []
    y: list[float | None] = []
    for row, cell in zip(rows, cells, strict=True):
        start = cell.over_seeds(lambda run: run.accuracy_cut)
        if start is not None:
            x += [factor * start.mean, factor * cell.accuracy, None]
            y += [row, row, None]
    line = {"color": GREY, "width": 1.5}
    silent = {"hoverinfo": "skip", "showlegend": False}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line, **silent}


# -- what is kept where -------------------------------------------------------------------------


def kept_chart(found: Analysis, granularity: str) -> Chart | None:
    """Kept share of each group, a column per strategy."""
    cells = [cell for cell in found.within(granularity) if any(run.kept for run in cell.runs)]
    groups = tuple(dict.fromkeys(name for cell in cells for run in cell.runs for name in run.kept))
    if not groups:
        return None
    strategies = [name for name in found.strategies if any(c.strategy == name for c in cells)]
    points = list(dict.fromkeys(cell.point for cell in cells))
    height = (
        ROW if len(groups) <= _FEW else min(max(_TALL / (len(groups) * len(points)), _THIN), _SMALL)
    )
    plan = row_plan(((place(point), groups) for point in points), space=math.ceil(ROW / height))
    shares: dict[int, list[float | None]] = {}
    for point, (_, rows) in zip(points, plan.parts(), strict=True):
        own = {cell.strategy: cell for cell in cells if cell.point == point}
        for row, group in zip(rows, groups, strict=True):
            shares[row] = [_kept(own.get(strategy), group) for strategy in strategies]
    title = f"What is kept where, {granularity} level"
    return Chart(
        name=f"kept-{found.granularities.index(granularity)}",
        title=title,
        caption="Percent of the units of each group that stay, mean over seeds. Red: less than "
        f"{percent(STARVED, 0)}.",
        alt=f"Heat map. {title}: {len(groups)} groups by {len(strategies)} strategies. "
        "The numbers are in the table below it.",
        height=round(height * plan.count) + 90,
        data=(_heat(shares, plan, strategies, height=height),),
        layout=_kept_layout(plan, strategies, height=height),
        numbers=_kept_table(title, shares, plan, strategies),
    )


def _kept(cell: Cell | None, group: str) -> float | None:
    if cell is None:
        return None
    counts = [run.kept[group] for run in cell.runs if group in run.kept]
    return sum(100 * kept / size for kept, size in counts) / len(counts) if counts else None


_Shares: TypeAlias = Mapping[int, Sequence[float | None]]


def _heat(
    shares: _Shares, plan: RowPlan, strategies: Sequence[str], *, height: float
) -> dict[str, Any]:
    names, blank = dict(plan.rows), [None] * len(strategies)
    return {
        "type": "heatmap",
        "x": list(range(len(strategies))),
        "y": list(range(plan.count)),
        "z": [list(shares.get(row, blank)) for row in range(plan.count)],
        "zmin": 0,
        "zmax": 100,
        "text": [
            [f"<b>{safe(name)}</b><br>{safe(names.get(row, ''))}" for name in strategies]
            for row in range(plan.count)
        ],
        "hovertemplate": "%{text}: %{z:.1f} % kept<extra></extra>",
        "texttemplate": "%{z:.0f}" if height == ROW else "",
        "textfont": {"color": _ON_COLOUR},
        "hoverongaps": False,
        "colorscale": _KEPT_COLOURS,
        "showscale": height < ROW,
        "colorbar": {
            "thickness": 10,
            "ticksuffix": " %",
            "lenmode": "pixels",
            "len": 200,
            "y": 1,
            "yanchor": "top",
        },
        "xgap": 2,
        "ygap": 2 if height == ROW else 0,
    }


def _kept_layout(plan: RowPlan, strategies: Sequence[str], *, height: float) -> dict[str, Any]:
    names = {"tickfont": {"size": 9}} if height == _SMALL else {"showticklabels": False}
    return layout(
        "rows",
        xaxis={
            "tickvals": list(range(len(strategies))),
            "ticktext": labels(strategies),
            "tickangle": -40,
            "side": "top",
            "showgrid": False,
            "zeroline": False,
            "ticks": "",
            "automargin": True,
        },
        yaxis=plan.axis() | (names if height < ROW else {}),
        annotations=plan.annotations(),
        margin={"l": 20, "r": 20, "t": 20, "b": 10},
    )


def _kept_table(title: str, shares: _Shares, plan: RowPlan, strategies: Sequence[str]) -> Table:
    names = dict(plan.rows)
    parts = []
    for part, rows in plan.parts():
        lines = []
        for row in rows:
            texts = ["-" if share is None else f"{share:.1f} %" for share in shares[row]]
            lines.append((Entry(names[row]), *map(Entry, texts)))
        parts.append(Rows(title=part, rows=tuple(lines)))
    return Table(caption=title, columns=("group", *strategies), parts=tuple(parts))
