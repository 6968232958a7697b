"""What commands print about costs, groups and studies."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from prunus.api import Pruned
from prunus.cli.render import table
from prunus.explanation import Explanation
from prunus.records import Cost, Group, Latency, Plan
from prunus.save.sealed import plain
from prunus.study import Study
from prunus.study.analysis import Cell, analyse
from prunus.study.recommend import recommend
from prunus.study.words import margin, percent, seeds_of, spread
from prunus.text import amount, share
from prunus.verify import Comparison

_FIGURES = {
    "params": "parameters",
    "nonzero": "not zero",
    "macs": "MACs",
    "bytes": "bytes",
    "peak_memory": "peak memory, bytes",
}
_MARKS = {"same": "=", "worse": "-", "not enough data to tell": "?"}

Row = tuple[str, str, str, str]


def costs(
    before: Cost,
    after: Cost,
    comparison: Comparison | None = None,
    *,
    names: tuple[str, str] = ("before", "after"),
    smaller: bool = True,
) -> Table:
    """Return two costs side by side, and the accuracy.

    Args:
        before: Of the dense model.
        after: Of the other.
        comparison: Of their accuracies.
        names: Of the two.
        smaller: Whether tensors became smaller; zeros in them are not called speed.
    """
    rows = [
        *_counted(before, after),
        *_timed(before.latency, after.latency, smaller=smaller),
        *_accurate(comparison),
    ]
    return table("", *names, "kept", rows=rows, right=True)


def _counted(before: Cost, after: Cost) -> Iterator[Row]:
    for figure, words in _FIGURES.items():
        one, other = getattr(before, figure), getattr(after, figure)
        if one is not None and other is not None:
            yield words, amount(one), amount(other), share(other, one)


def _timed(before: Latency | None, after: Latency | None, *, smaller: bool) -> Iterator[Row]:
    if before is not None and after is not None:
        gain = speed(before, after) if smaller else "zeros only"
        yield "ms, median", f"{before.median:.3g}", f"{after.median:.3g}", gain
        yield "ms, quartiles", _quartiles(before), _quartiles(after), ""


def _quartiles(latency: Latency) -> str:
    return f"{latency.lower:.3g}-{latency.upper:.3g}"


def _accurate(comparison: Comparison | None) -> Iterator[Row]:
    if comparison is not None:
        before, after = comparison.before, comparison.after
        change = f"{100 * (after - before):+z.1f} points"
        yield comparison.metric, percent(before), percent(after), change


def speed(before: Latency, after: Latency) -> str:
    """Return how much faster a pass is; nothing is claimed where the quartiles overlap.

    Example:
        >>> slow = Latency(2.0, 1.9, 2.1, runs=9, batch=1, threads=1, device="cpu")
        >>> fast = Latency(1.0, 0.9, 1.1, runs=9, batch=1, threads=1, device="cpu")
        >>> speed(slow, fast), speed(fast, slow), speed(slow, slow)
        ('2.00 x faster', '2.00 x slower', 'unclear')
    """
    if after.upper < before.lower:
        return f"{before.median / after.median:.2f} x faster"
    if before.upper < after.lower:
        return f"{after.median / before.median:.2f} x slower"
    return "unclear"


def how_timed(latency: Latency) -> str:
    """Return how a latency was measured."""
    return (
        f"Time of one pass: {latency.runs} runs of each in turns, batch {latency.batch}, "
        f"{latency.threads} thread{'s' if latency.threads > 1 else ''}, {latency.device}."
    )


def pruned(result: Pruned, comparison: Comparison | None) -> Iterator[Table | str]:
    """Yield what pruning cost and bought, and how that is known."""
    report = result.report
    yield costs(report.before, report.after, comparison)
    yield ""
    yield str(comparison) if comparison else "Accuracy was not measured: that takes --data DATA."
    yield ""
    yield from remarks(result.plan, report.after)
    cut = [row for row in report.groups if row.kept < row.size]
    frozen = [row for row in report.groups if row.frozen_because is not None]
    yield (
        f"{len(cut)} of {len(report.groups)} groups lost units; {len(frozen)} frozen, "
        "`prunus inspect` says why."
    )
    yield from (f"{note[:1].upper()}{note[1:]}." for note in report.notes)
    if report.agreement is not None:
        said = str(report.agreement)
        yield f"{said[:1].upper()}{said[1:]}."


def remarks(plan: Plan, after: Cost) -> Iterator[str]:
    """Yield what a table of costs does not say: what was zeroed only, and how time was measured."""
    if not plan.kept:
        yield "The dense model meets the budget: nothing was removed."
    elif plan.zeroes:
        yield (
            "Weights were set to zero, not removed. The tensors keep their sizes, so MACs, bytes "
            "and time stay what they were."
        )
    if after.latency is not None:
        yield how_timed(after.latency)


def layers_of(group: Group) -> list[str]:
    """Return the names of the layers that a group has slices in."""
    layers = (member.tensor.rpartition(".")[0] for member in group.members)
    return list(group.blocks or dict.fromkeys(layers))


def _short(names: list[str], most: int = 4) -> str:
    """Return the first names; `--json` has them all."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def groups(found: Mapping[str, Group]) -> Table:
    """Return every group: units, layers, and whether it may be cut."""
    return table(
        "group",
        "units",
        "layers",
        "state",
        rows=[
            (
                name,
                str(group.size),
                _short(layers_of(group)),
                f"frozen: {group.frozen_because}" if group.frozen_because else "free",
            )
            for name, group in found.items()
        ],
    )


def tree(explanation: Explanation) -> Tree:
    """Return every group with its members, what a unit costs, and why it may not be cut."""
    whole = Tree(Text(f"{len(explanation.groups)} groups"), guide_style="dim")
    for group in explanation.groups.values():
        branch = whole.add(Text(f"{group.name}: {group.size} units, {group.granularity}"))
        cost = explanation.unit_cost(group.name)
        branch.add(Text(f"a unit costs {amount(cost.params)} parameters, {amount(cost.macs)} MACs"))
        branch.add(Text(f"frozen: {group.frozen_because}" if group.frozen_because else "free"))
        for reason in group.inexact_because:
            branch.add(Text(f"not exact: {reason}"))
        members = branch.add(Text("members"))
        for member in group.members:
            where = "every element" if member.dim is None else f"dim {member.dim}"
            members.add(Text(f"{member.tensor}, {where}"))
    return whole


# -- studies ------------------------------------------------------------------------------------


def accuracies(study: Study) -> Iterator[RenderableType]:
    """Yield a table per granularity, accuracy by strategy and budget, and what the marks mean."""
    found = analyse(study)
    for granularity in found.granularities:
        points = [point for point in found.points if point.granularity == granularity]
        cells = {(cell.strategy, cell.point): cell for cell in found.within(granularity)}
        strategies = [name for name in found.strategies if any(name == key[0] for key in cells)]
        rows = [
            (name, *(_cell(cells.get((name, point))) for point in points)) for name in strategies
        ]
        yield table(granularity, *(point.budget for point in points), rows=rows, right=True)
        yield ""
    facts = study.facts
    yield (
        f"Accuracy after recovery; {percent(facts.dense['accuracy'])} dense, on {facts.items:,} "
        f"test items. ± is the 95 % interval over {seeds_of(len(facts.seeds))}. Against the "
        f"dense model, at a margin of {margin(facts.margin)}: = same, - worse, ? not enough "
        "data to tell."
    )


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "no plan"
    accuracy = cell.over_seeds(lambda run: run.accuracy)
    return f"{spread(accuracy)} {_MARKS[cell.verdict]}" if accuracy is not None else ""


def advice(study: Study) -> Iterator[RenderableType]:
    """Yield what to do, with the reasons."""
    for one in recommend(study):
        yield Text(f"\n{one.headline}", style="bold")
        yield from (Padding(Text(reason), (0, 0, 0, 2)) for reason in one.reasons)


def study_record(study: Study, **more: Any) -> dict[str, Any]:
    """Return what `--json` prints of a study."""
    advised = [
        {
            "granularity": one.granularity,
            "advice": one.advice,
            "strategy": one.cell.strategy if one.cell else None,
            "budget": one.cell.point.budget if one.cell else None,
            "headline": one.headline,
            "reasons": list(one.reasons),
        }
        for one in recommend(study)
    ]
    return {**more, "recommendations": advised, **plain(study)}
