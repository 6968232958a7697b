"""Why a recommendation is what it is: one sentence or two for each thing that was looked at.

Each returns "" where there is nothing to say.
"""

from collections.abc import Sequence

from prunus.study.analysis import Analysis, Cell, Relation, gap
from prunus.study.words import (
    listing,
    needs_of,
    percent,
    place,
    seeds_of,
    threads_of,
    times,
    unit_of,
)


def _accuracy(cell: Cell, found: Analysis) -> str:
    return unit_of(found).value(cell.accuracy)


def _dense(found: Analysis) -> str:
    return unit_of(found).value(found.facts.dense["accuracy"])


def same_as_dense(cell: Cell, found: Analysis) -> str:
    """Say how the accuracy compares with that of the dense model."""
    unit, done, planned = unit_of(found), len(cell.runs), len(found.facts.seeds)
    difference, lower, upper = (
        unit.signed(cell.compared(key)) for key in ("difference", "lower", "upper")
    )
    missing = f" ({planned - done} of {planned} have not finished)" if done < planned else ""
    return (
        f"Its accuracy is {_accuracy(cell, found)}, that of the dense model {_dense(found)}: "
        f"{difference}{unit.points} (95 % interval {lower} to {upper}). That is the same, at the "
        f"margin of {unit.margin(found.facts.margin)}, on {cell.same} of {seeds_of(done)}{missing}."
    )


def nearest(cells: Sequence[Cell], found: Analysis) -> str:
    """Name the most accurate of some cells."""
    cell = max(cells, key=lambda cell: cell.accuracy)
    return (
        f"The nearest is {cell.strategy} at {place(cell.point)}: {_accuracy(cell, found)} against "
        f"{_dense(found)} dense."
    )


def items_used(cells: Sequence[Cell], found: Analysis) -> str:
    """Say how many test items there were, and how many would settle one of the cells."""
    used = f"{found.facts.items:,} test items and {seeds_of(len(found.facts.seeds))} were used"
    needed = [run.comparison.get("items_needed") for cell in cells for run in cell.runs]
    wanted = min((number for number in needed if number), default=None)
    return f"{used}; about {wanted:,} items would settle the first." if wanted else f"{used}."


def smaller_budgets(winner: Cell, found: Analysis) -> str:
    """Say why no smaller budget is recommended."""
    smaller = [
        cell
        for cell in found.within(winner.point.granularity)
        if cell.kind == "pruned" and cell.point.fraction < winner.point.fraction
    ]
    undecided = [cell for cell in smaller if cell.verdict != "worse"]
    if undecided:
        names = listing(dict.fromkeys(cell.strategy for cell in undecided))
        return f"Below that none is shown to be the same; not enough data to tell for {names}."
    if smaller:
        return "Below that every strategy is worse by more than the margin."
    return "No smaller budget was tried."


def rivals(winner: Cell, others: Sequence[Cell], found: Analysis) -> str:
    """Say which of the others, the same as dense at this budget, it could not be told from."""
    by_relation: dict[Relation, list[str]] = {}
    for cell in others:
        if cell is not winner:
            by_relation.setdefault(found.relation(cell, winner), []).append(cell.strategy)
    least = f"Of these it needs least ({needs_of(winner.needs)})."
    if unknown := by_relation.get("unknown"):
        return f"One seed does not tell it apart from {listing(unknown)}. {least}"
    if tied := by_relation.get("within noise"):
        names = listing(tied)
        return f"It cannot be told apart from {names}: a difference inside seed noise. {least}"
    if set(by_relation) == {"worse"}:
        return "It is the most accurate there, by more than seed noise."
    return ""


def gain(cell: Cell, found: Analysis) -> str:
    """Say what it buys: measured speed and stored bytes."""
    facts, speed_up = found.facts, cell.speed_up
    where = f"batch {facts.batch}, {threads_of(facts.threads)}"
    measured = f"{times(speed_up.mean)} ({where})" if speed_up else "not measured"
    if found.zeros_only(cell):
        return (
            "It makes zeros in dense tensors, nothing else: plain PyTorch is no faster for it. "
            f"Speed-up: {measured}. It pays only where a runtime or a file format makes use of "
            "zeros."
        )
    stored = percent(cell.mean(lambda run: run.bytes) / facts.dense["bytes"], 0)
    return f"Measured speed-up: {measured}. It stores {stored} of the bytes."


def control(winner: Cell, found: Analysis) -> str:
    """Say whether a random choice would have done as well."""
    other = found.first("control", winner.point)
    if other is None:
        return "No random control has run there, so what the criterion is worth is not known."
    figures = f"{_accuracy(winner, found)} against {_accuracy(other, found)}"
    small = abs(winner.accuracy - other.accuracy) < found.facts.margin
    perhaps = " Which units are kept may matter less than how many." if small else ""
    return {
        "better": f"It is better than a random choice: {figures}.",
        "worse": f"A random choice is better: {figures}.",
        "within noise": f"It is not shown to be better than a random choice: {figures}, a "
        f"difference inside seed noise.{perhaps}",
        "unknown": f"One seed does not tell it apart from a random choice ({figures}).",
    }[found.relation(winner, other)]


def scratch(winner: Cell, found: Analysis) -> str:
    """Say what a dense network of the same cost reaches that never was pruned."""
    other = found.first("scratch", winner.point)
    if other is None:
        return "No dense network of the same cost was trained from scratch to compare it with."
    unproven = other.accuracy >= winner.accuracy
    proof = "; the test items do not show that to be the same as dense" if unproven else ""
    return (
        f"A dense network of the same cost, trained from scratch, reaches "
        f"{_accuracy(other, found)}{_how_sure(other, winner, found)}{proof}."
    )


def against_pruned(other: Cell, winner: Cell | None, found: Analysis) -> str:
    """Say why the dense network from scratch is recommended instead of a pruned one."""
    if winner is None:
        return "No pruned model has the verdict “same” at any budget."
    if winner.point.fraction != other.point.fraction:
        return f"Pruning keeps the accuracy only down to {place(winner.point)}."
    return (
        f"The pick among the pruned, {winner.strategy}, is not more accurate: "
        f"{_accuracy(winner, found)}{_how_sure(winner, other, found)}."
    )


def _how_sure(one: Cell, other: Cell, found: Analysis) -> str:
    difference = gap(one, other)
    size = unit_of(found).size(difference.mean if difference else 0.0)
    return {
        "better": f" ({size} more)",
        "worse": f" ({size} less)",
        "within noise": " (a difference inside seed noise)",
        "unknown": " (one seed: noise unknown)",
    }[found.relation(one, other)]


def saved(cell: Cell) -> str:
    """Say where a model of this cell lies."""
    kept = [run for run in cell.runs if run.folder and run.comparison["verdict"] == "same"]
    return f"The model of seed {kept[0].seed} is saved in {kept[0].folder}." if kept else ""
