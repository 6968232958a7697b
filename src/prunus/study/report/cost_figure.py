"""What one pruned model costs to make, as a chart and a table."""

from collections.abc import Callable, Sequence
from typing import Any

from prunus.study.analysis import Analysis, estimate
from prunus.study.records import Run
from prunus.study.report.blocks import Chart, Entry, Rows, Table
from prunus.study.report.scales import COLOURS, ROW, RowPlan, layout, row_plan
from prunus.study.words import seconds
from prunus.text import amount

_COSTS: tuple[tuple[str, str, Callable[[Run], float | None]], ...] = (
    ("score and choose", COLOURS[1], lambda run: run.score_seconds),
    ("train under a penalty", COLOURS[3], lambda run: run.penalty_seconds),
    ("recover", COLOURS[0], lambda run: run.recover_seconds),
)
_TITLE = "What one pruned model costs to make"


def cost_chart(found: Analysis) -> Chart:
    """Seconds that a pruned model takes to make, a bar per strategy."""
    parts = []
    runs = []
    for granularity in found.granularities:
        cells = found.within(granularity)
        names = {cell.strategy for cell in cells}
        strategies = [name for name in found.strategies if name in names]
        parts.append((f"{granularity} level", strategies))
        runs += [[r for c in cells if c.strategy == name for r in c.runs] for name in strategies]
    plan = row_plan(parts)
    rows = [row for row, _ in plan.rows]
    values = [[_mean(figure, own) or 0.0 for own in runs] for _, _, figure in _COSTS]
    totals = [sum(column) for column in zip(*values, strict=True)]
    bars = [
        _bars(name, colour, seconds_each, rows)
        for (name, colour, _), seconds_each in zip(_COSTS, values, strict=True)
    ]
    return Chart(
        name="cost",
        title=_TITLE,
        caption="Wall time, mean over budgets and seeds; for the network from scratch, of its "
        "whole training.",
        alt=f"Bar chart. {_TITLE}. The numbers are in the table below it.",
        height=ROW * plan.count + 120,
        data=(*bars, _totals(totals, rows)),
        layout=layout(
            "rows",
            xaxis={"range": [0, 1.3 * max(totals) or 1], "ticksuffix": " s", "zeroline": False},
            yaxis=plan.axis(),
            annotations=plan.annotations(),
            barmode="stack",
        ),
        numbers=_table(plan, runs),
    )


def _mean(figure: Callable[[Run], float | None], runs: Sequence[Run]) -> float | None:
    known = estimate(figure(run) for run in runs)
    return None if known is None else known.mean


def _bars(name: str, colour: str, values: Sequence[float], rows: Sequence[int]) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "x": list(values),
        "y": list(rows),
        "marker": {"color": colour},
        "text": [f"{name}: {seconds(value)}" for value in values],
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
    }


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


def _table(plan: RowPlan, runs: Sequence[Sequence[Run]]) -> Table:
    by_row = {row: (name, own) for (row, name), own in zip(plan.rows, runs, strict=True)}
    parts = []
    for title, rows in plan.parts():
        lines = []
        for row in rows:
            name, own = by_row[row]
            values = [_mean(figure, own) for _, _, figure in _COSTS]
            memory = _mean(lambda run: run.score_bytes, own)
            texts = ["-" if value is None else seconds(value) for value in values]
            texts.append("-" if memory is None else f"{amount(memory)}B")
            lines.append((Entry(name), *map(Entry, texts)))
        parts.append(Rows(title=title, rows=tuple(lines)))
    columns = ("strategy", *(name for name, _, _ in _COSTS), "extra memory to score")
    return Table(caption=_TITLE, columns=columns, parts=tuple(parts))
