"""The charts of a report that have a row per strategy or per group. None where nothing is known."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from prunus.study.analysis import Analysis, Cell, Point
from prunus.study.records import Run
from prunus.study.report.blocks import Chart, Entry, Rows, Table
from prunus.study.report.cards import STARVED
from prunus.study.report.scales import COLOURS, GREY, RowPlan, label, layout, row_plan
from prunus.study.words import percent, place, seconds

_RED = "#e57a66"
_KEPT_COLOURS = [[0, _RED], [STARVED, _RED], [STARVED, "#edf4fa"], [1, "#5b9bd5"]]
_ON_COLOUR = "#14202b"  # of text on any of them
_ROW = 22  # pixels
_FEW = 60  # groups; more get thinner rows without numbers in them

_STAGES: tuple[tuple[str, str, str, Callable[[Run], float | None]], ...] = (
    ("right after the cut", "circle-open", GREY, lambda run: run.accuracy_cut),
    ("after batch-norm statistics", "diamond", COLOURS[1], lambda run: run.accuracy_batch_norm),
    ("after recovery", "circle", COLOURS[0], lambda run: run.accuracy),
)


def _points(found: Analysis, granularity: str) -> list[Point]:
    return [point for point in found.points if point.granularity == granularity]


# -- before and after recovery ------------------------------------------------------------------


def recovery_chart(found: Analysis, granularity: str) -> Chart:
    """Accuracy right after the cut, after batch norm and after recovery, a row per strategy."""
    points = _points(found, granularity)
    parts = [(place(point), [cell.strategy for cell in found.at(point)]) for point in points]
    plan = row_plan(parts)
    cells = [cell for point in points for cell in found.at(point)]
    rows = [row for row, _ in plan.rows]
    data = [_bridges(cells, rows)]
    for name, symbol, colour, figure in _STAGES:
        known = [
            (row, cell.over_seeds(figure), cell) for row, cell in zip(rows, cells, strict=True)
        ]
        shown = [(row, value, cell) for row, value, cell in known if value is not None]
        data.append({
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [100 * value.mean for _, value, _ in shown],
            "y": [row for row, _, _ in shown],
            "marker": {
                "symbol": symbol,
                "size": 9,
                "color": colour,
                "line": {"color": colour, "width": 2},
            },
            "text": [
                f"<b>{escape(cell.strategy)}</b>, {name}: {percent(value.mean)}"
                for _, value, cell in shown
            ],
            "hovertemplate": "%{text}<extra></extra>",
        })
    lowest = min(value for trace in data[1:] for value in trace["x"])
    dense = 100 * found.facts.dense["accuracy"]
    title = f"Accuracy before and after recovery, {granularity} level"
    return Chart(
        name=f"recovery-{found.granularities.index(granularity)}",
        title=title,
        caption="What the cut costs and what each step wins back, mean over seeds. The line is the "
        "dense model.",
        alt=f"Dot chart. {title}. The numbers are in the table of this level.",
        height=_ROW * plan.count + 110,
        data=tuple(data),
        layout=layout(
            "rows",
            xaxis={"range": [lowest - 4, 102], "ticksuffix": " %", "zeroline": False},
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


def _bridges(cells: Sequence[Cell], rows: Sequence[int]) -> dict[str, Any]:
    """Return one trace with a line per row, from the accuracy after the cut to the last."""
    x: list[float | None] = []
    y: list[float | None] = []
    for row, cell in zip(rows, cells, strict=True):
        start = cell.over_seeds(lambda run: run.accuracy_cut)
        if start is not None:
            x += [100 * start.mean, 100 * cell.accuracy, None]
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
    points = [p for p in _points(found, granularity) if any(cell.point == p for cell in cells)]
    plan = row_plan((place(point), groups) for point in points)
    by_place = {(cell.point, cell.strategy): cell for cell in cells}
    shares: list[list[float | None]] = []
    for point in points:
        shares.append([None] * len(strategies))  # the row of the title
        for group in groups:
            shares.append([
                _kept(by_place.get((point, strategy)), group) for strategy in strategies
            ])
    few = len(groups) <= _FEW
    title = f"What is kept where, {granularity} level"
    return Chart(
        name=f"kept-{found.granularities.index(granularity)}",
        title=title,
        caption="Percent of the units of each group that stay, mean over seeds. Red: less than "
        f"{percent(STARVED, 0)}.",
        alt=f"Heat map. {title}: {len(groups)} groups by {len(strategies)} strategies. "
        "The numbers are in the table below it.",
        height=(_ROW if few else 8) * plan.count + 90,
        data=(_heat(shares, plan, strategies, few=few),),
        layout=layout(
            "rows",
            xaxis={
                "tickvals": list(range(len(strategies))),
                "ticktext": [label(name) for name in strategies],
                "tickangle": -40,
                "side": "top",
                "showgrid": False,
                "zeroline": False,
                "ticks": "",
                "automargin": True,
            },
            yaxis=plan.axis(),
            annotations=plan.annotations(),
            margin={"l": 20, "r": 20, "t": 20, "b": 10},
        ),
        numbers=_kept_table(title, shares, plan, strategies),
    )


def _kept(cell: Cell | None, group: str) -> float | None:
    if cell is None:
        return None
    counts = [run.kept[group] for run in cell.runs if group in run.kept]
    return sum(100 * kept / size for kept, size in counts) / len(counts) if counts else None


def _heat(
    shares: list[list[float | None]], plan: RowPlan, strategies: Sequence[str], *, few: bool
) -> dict[str, Any]:
    names = dict(plan.rows)
    hover = [
        [f"<b>{escape(strategy)}</b><br>{escape(names.get(row, ''))}" for strategy in strategies]
        for row in range(plan.count)
    ]
    return {
        "type": "heatmap",
        "x": list(range(len(strategies))),
        "y": list(range(plan.count)),
        "z": shares,
        "zmin": 0,
        "zmax": 100,
        "text": hover,
        "hovertemplate": "%{text}: %{z:.1f} % kept<extra></extra>",
        "texttemplate": "%{z:.0f}" if few else "",
        "textfont": {"color": _ON_COLOUR},
        "hoverongaps": False,
        "colorscale": _KEPT_COLOURS,
        "showscale": not few,
        "colorbar": {"thickness": 10, "ticksuffix": " %"},
        "xgap": 2,
        "ygap": 2 if few else 0,
    }


def _kept_table(
    title: str, shares: list[list[float | None]], plan: RowPlan, strategies: Sequence[str]
) -> Table:
    starts = [row for row, _ in plan.titles] + [plan.count]
    parts = []
    for (start, part), end in zip(plan.titles, starts[1:], strict=True):
        rows = [
            (Entry(name), *(Entry("-" if s is None else f"{s:.1f} %") for s in shares[row]))
            for row, name in plan.rows
            if start < row < end
        ]
        parts.append(Rows(title=part, rows=tuple(rows)))
    return Table(caption=title, columns=("group", *strategies), parts=tuple(parts))


# -- what pruning costs -------------------------------------------------------------------------

_COSTS: tuple[tuple[str, str, Callable[[Run], float | None]], ...] = (
    ("score and choose", COLOURS[1], lambda run: run.score_seconds),
    ("train under a penalty", COLOURS[3], lambda run: run.penalty_seconds),
    ("recover", COLOURS[0], lambda run: run.recover_seconds),
)


def cost_chart(found: Analysis) -> Chart | None:
    """Seconds that a pruned model takes to make, a bar per strategy."""
    if not found.cells:
        return None
    parts = []
    for granularity in found.granularities:
        names = {cell.strategy for cell in found.within(granularity)}
        parts.append((f"{granularity} level", [n for n in found.strategies if n in names]))
    plan = row_plan(parts)
    runs = [
        [run for c in found.within(granularity) if c.strategy == strategy for run in c.runs]
        for granularity, (_, strategies) in zip(found.granularities, parts, strict=True)
        for strategy in strategies
    ]
    rows = [row for row, _ in plan.rows]
    data: list[dict[str, Any]] = []
    totals = [0.0] * len(rows)
    for name, colour, figure in _COSTS:
        values = [_mean(figure, own) or 0.0 for own in runs]
        totals = [total + value for total, value in zip(totals, values, strict=True)]
        data.append({
            "type": "bar",
            "orientation": "h",
            "name": name,
            "x": values,
            "y": rows,
            "marker": {"color": colour},
            "text": [f"{name}: {seconds(value)}" for value in values],
            "textposition": "none",
            "hovertemplate": "%{text}<extra></extra>",
        })
    data.append(_totals(totals, rows))
    title = "What one pruned model costs to make"
    return Chart(
        name="cost",
        title=title,
        caption="Wall time, mean over budgets and seeds; for the network from scratch, of its whole "
        "training.",
        alt=f"Bar chart. {title}. The numbers are in the table below it.",
        height=_ROW * plan.count + 120,
        data=tuple(data),
        layout=layout(
            "rows",
            xaxis={"range": [0, 1.3 * max(totals) or 1], "ticksuffix": " s", "zeroline": False},
            yaxis=plan.axis(),
            annotations=plan.annotations(),
            barmode="stack",
        ),
        numbers=_cost_table(title, parts, runs),
    )


def _mean(figure: Callable[[Run], float | None], runs: Sequence[Run]) -> float | None:
    known = [value for value in map(figure, runs) if value is not None]
    return sum(known) / len(known) if known else None


def _totals(totals: Sequence[float], rows: Sequence[int]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "text",
        "x": list(totals),
        "y": list(rows),
        "text": [f" {seconds(total)}" for total in totals],
        "textposition": "middle right",
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _cost_table(
    title: str, parts: Sequence[tuple[str, Sequence[str]]], runs: Sequence[Sequence[Run]]
) -> Table:
    rest = iter(runs)
    groups = []
    for part, strategies in parts:
        rows = []
        for strategy in strategies:
            own = next(rest)
            values = [_mean(figure, own) for _, _, figure in _COSTS]
            memory = _mean(lambda run: run.score_bytes, own)
            rows.append((
                Entry(strategy),
                *(Entry("-" if value is None else seconds(value)) for value in values),
                Entry("-" if memory is None else f"{memory / 1e6:.2f} MB"),
            ))
        groups.append(Rows(title=part, rows=tuple(rows)))
    columns = ("strategy", *(name for name, _, _ in _COSTS), "extra memory to score")
    return Table(caption=title, columns=columns, parts=tuple(groups))
