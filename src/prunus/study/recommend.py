"""What to do with the model, after a study: one recommendation per granularity, with its reasons.

The rule, fixed before any run:

1. Only a strategy whose verdict is "same" on most seeds, and "worse" on none, comes into question.
2. Of these the smallest budget wins.
3. At that budget, what cannot be told apart from the most accurate is a tie, and the strategy
   that needs least wins it: weights only, then data, then labels, then training.
4. A dense network of the same cost, trained from scratch, beats it where that too has the verdict
   "same" and is at least as accurate, or has it at a smaller budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from prunus.study.analysis import Analysis, Cell, Relation, analyse, gap
from prunus.study.records import Study
from prunus.study.words import (
    digits_of,
    listing,
    margin,
    needs_of,
    percent,
    place,
    points,
    seeds_of,
    signed,
    times,
)

Advice: TypeAlias = Literal["prune", "small dense", "stay dense", "not enough data"]


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """What to do at one granularity.

    Attributes:
        advice: "prune" with a strategy; take the "small dense" network trained from scratch;
            "stay dense"; or "not enough data" to tell.
        granularity: That it is about; "" where nothing was measured.
        cell: The runs that it rests on; None where it names none.
        headline: It in one sentence.
        reasons: Why, a sentence each, most important first.
    """

    advice: Advice
    granularity: str
    cell: Cell | None
    headline: str
    reasons: tuple[str, ...]


def recommend(study: Study) -> tuple[Recommendation, ...]:
    """Return one recommendation per granularity, those that make a model faster first.

    Never empty: a study without runs gets "not enough data".

    Example:
        >>> from prunus.study.records import Facts
        >>> facts = Facts(title="", dense={"params": 9}, recovery={}, margin=0.01, items=100, batch=1,
        ...     threads=1, seeds=(0,), versions={}, fingerprint="")
        >>> recommend(Study(facts=facts, runs=()))[0].headline
        'Nothing has been measured yet.'
    """
    found = analyse(study)
    if not found.cells:
        return (
            Recommendation(
                advice="not enough data",
                granularity="",
                cell=None,
                headline="Nothing has been measured yet.",
                reasons=("The study has no finished run.",),
            ),
        )
    return tuple(_advise(found, granularity) for granularity in found.granularities)


def _advise(found: Analysis, granularity: str) -> Recommendation:
    cells = found.within(granularity)
    pruned = _smallest([cell for cell in cells if cell.kind == "pruned" and cell.verdict == "same"])
    scratch = _smallest([c for c in cells if c.kind == "scratch" and c.verdict == "same"])
    if not pruned:
        return _small_dense(found, scratch[0], None) if scratch else _none(found, granularity)
    winner = winner_of(pruned, found)
    if scratch and _beats(scratch[0], winner):
        return _small_dense(found, scratch[0], winner)
    return _prune(found, winner, pruned)


def _smallest(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells with the smallest budget of all."""
    least = min((cell.point.fraction for cell in cells), default=0.0)
    return [cell for cell in cells if cell.point.fraction == least]


def _beats(scratch: Cell, winner: Cell) -> bool:
    """Whether the dense network from scratch is smaller, or as small and as accurate."""
    if scratch.point.fraction != winner.point.fraction:
        return scratch.point.fraction < winner.point.fraction
    return scratch.accuracy >= winner.accuracy


def winner_of(cells: Sequence[Cell], found: Analysis) -> Cell:
    """Return the simplest of the cells that cannot be told apart from the most accurate one."""
    best = max(cells, key=lambda cell: cell.accuracy)
    tied = [cell for cell in cells if cell is best or found.relation(cell, best) != "worse"]
    return min(tied, key=lambda cell: (cell.labour, -cell.accuracy))


# -- the three kinds of advice ------------------------------------------------------------------


def _prune(found: Analysis, winner: Cell, rivals: Sequence[Cell]) -> Recommendation:
    granularity, strategy = winner.point.granularity, winner.strategy
    reasons = [
        _same(winner, found),
        _smaller_budgets(winner, found),
        _rivals(winner, rivals, found),
        _gain(winner, found),
        _control(winner, found),
        _scratch(winner, found),
        _folder(winner),
    ]
    return Recommendation(
        advice="prune",
        granularity=granularity,
        cell=winner,
        headline=f"Prune at {granularity} level with {strategy}, down to {place(winner.point)}.",
        reasons=tuple(reason for reason in reasons if reason),
    )


def _small_dense(found: Analysis, scratch: Cell, winner: Cell | None) -> Recommendation:
    granularity, kept = scratch.point.granularity, place(scratch.point)
    if winner is None:
        against = "No pruned model has the verdict “same” at any budget."
    elif winner.point.fraction != scratch.point.fraction:
        against = f"Pruning keeps the accuracy only down to {place(winner.point)}."
    else:
        against = (
            f"The best pick among the pruned, {winner.strategy}, is not more accurate: "
            f"{_accuracy(winner, found)}{_how_sure(scratch, winner, found)}."
        )
    return Recommendation(
        advice="small dense",
        granularity=granularity,
        cell=scratch,
        headline=f"None of these at {granularity} level: take the small dense network, "
        f"trained from scratch, with {kept}.",
        reasons=tuple(
            reason
            for reason in (_same(scratch, found), against, _gain(scratch, found), _folder(scratch))
            if reason
        ),
    )


def _none(found: Analysis, granularity: str) -> Recommendation:
    cells = [cell for cell in found.within(granularity) if cell.kind != "control"]
    undecided = [cell for cell in cells if cell.verdict != "worse"]
    size = margin(found.facts.margin)
    if cells and not undecided:
        return Recommendation(
            advice="stay dense",
            granularity=granularity,
            cell=None,
            headline=f"Stay dense: at {granularity} level every network loses more than {size}.",
            reasons=(_nearest(cells, found),),
        )
    reasons = ["Only the random control has run."]
    if cells:
        reasons = [
            f"No network has the verdict “same” on most seeds at the margin of {size}, and "
            f"{len(undecided)} of {len(cells)} are not shown to be worse either.",
            _nearest(undecided, found),
            _items(undecided, found),
        ]
    return Recommendation(
        advice="not enough data",
        granularity=granularity,
        cell=None,
        headline=f"Not enough data to tell at {granularity} level: stay dense until there is.",
        reasons=tuple(reasons),
    )


# -- reasons ------------------------------------------------------------------------------------


def _accuracy(cell: Cell, found: Analysis) -> str:
    return percent(cell.accuracy, digits_of(found.facts.items))


def _dense(found: Analysis) -> str:
    return percent(found.facts.dense["accuracy"], digits_of(found.facts.items))


def _same(cell: Cell, found: Analysis) -> str:
    digits, done, planned = digits_of(found.facts.items), len(cell.runs), len(found.facts.seeds)
    difference, lower, upper = (
        signed(cell.compared(key), digits) for key in ("difference", "lower", "upper")
    )
    missing = f" ({planned - done} of {planned} have not finished)" if done < planned else ""
    return (
        f"Its accuracy is {_accuracy(cell, found)}, that of the dense model {_dense(found)}: "
        f"{difference} points (95 % interval {lower} to {upper}). That is the same, at the margin "
        f"of {margin(found.facts.margin)}, on {cell.same} of {seeds_of(done)}{missing}."
    )


def _nearest(cells: Sequence[Cell], found: Analysis) -> str:
    cell = max(cells, key=lambda cell: cell.accuracy)
    return (
        f"The nearest is {cell.strategy} at {place(cell.point)}: {_accuracy(cell, found)} against "
        f"{_dense(found)} dense."
    )


def _smaller_budgets(winner: Cell, found: Analysis) -> str:
    smaller = [
        cell
        for cell in found.within(winner.point.granularity)
        if cell.kind == "pruned" and cell.point.fraction < winner.point.fraction
    ]
    if not smaller:
        return "No smaller budget was tried."
    undecided = [cell for cell in smaller if cell.verdict != "worse"]
    if undecided:
        names = listing(dict.fromkeys(cell.strategy for cell in undecided))
        return (
            f"Below that no strategy is shown to be the same; not enough data to tell for {names}."
        )
    return "Below that every strategy is worse by more than the margin."


def _rivals(winner: Cell, rivals: Sequence[Cell], found: Analysis) -> str:
    by_relation: dict[Relation, list[str]] = {}
    for cell in rivals:
        if cell is not winner:
            by_relation.setdefault(found.relation(cell, winner), []).append(cell.strategy)
    if unknown := by_relation.get("unknown"):
        return (
            f"One seed does not tell it apart from {listing(unknown)}; of these it needs least "
            f"({needs_of(winner.needs)})."
        )
    if tied := by_relation.get("within noise"):
        return (
            f"It cannot be told apart from {listing(tied)}: the difference is inside seed noise. "
            f"Of these it needs least ({needs_of(winner.needs)})."
        )
    most_accurate = set(by_relation) == {"worse"}
    return "It is the most accurate there, by more than seed noise." if most_accurate else ""


def _gain(cell: Cell, found: Analysis) -> str:
    facts, speed_up = found.facts, cell.speed_up
    measured = times(speed_up.mean) if speed_up else "not measured"
    where = f"batch {facts.batch}, {facts.threads} thread{'' if facts.threads == 1 else 's'}"
    if found.zeros_only(cell):
        return (
            f"It makes zeros in dense tensors, nothing else: plain PyTorch is no faster for it "
            f"(speed-up {measured}, {where}). It pays only where a runtime or a file format makes "
            f"use of zeros."
        )
    dense = facts.dense["bytes"]
    stored = percent(cell.mean(lambda run: run.bytes) / dense, 0)
    return f"Measured speed-up: {measured} ({where}). It stores {stored} of the bytes."


def _control(winner: Cell, found: Analysis) -> str:
    control = found.first("control", winner.point)
    if control is None:
        return "No random control has run there, so what the criterion is worth is not known."
    figures = f"{_accuracy(winner, found)} against {_accuracy(control, found)}"
    return {
        "better": f"It is better than a random choice: {figures}.",
        "worse": f"A random choice is better: {figures}.",
        "within noise": f"It is not shown to be better than a random choice: {figures}, a difference "
        "inside seed noise. Which units are kept may matter less than how many.",
        "unknown": f"One seed does not tell it apart from a random choice ({figures}).",
    }[found.relation(winner, control)]


def _scratch(winner: Cell, found: Analysis) -> str:
    scratch = found.first("scratch", winner.point)
    if scratch is None:
        return (
            "No dense network of the same cost was trained from scratch, so that is not compared."
        )
    how = _how_sure(scratch, winner, found)
    proof = ""
    if scratch.accuracy >= winner.accuracy:
        proof = "; the test items do not show it to be the same as the dense model"
    return (
        f"A dense network of the same cost, trained from scratch, reaches "
        f"{_accuracy(scratch, found)}{how}{proof}."
    )


def _folder(cell: Cell) -> str:
    kept = [run for run in cell.runs if run.folder and run.comparison["verdict"] == "same"]
    return f"The model of seed {kept[0].seed} is saved in {kept[0].folder}." if kept else ""


def _how_sure(scratch: Cell, winner: Cell, found: Analysis) -> str:
    return {
        "better": f" (better than pruning by {_gap(scratch, winner, found)})",
        "worse": f" ({_gap(scratch, winner, found)} less)",
        "within noise": " (within seed noise of pruning)",
        "unknown": " (one seed: noise unknown)",
    }[found.relation(scratch, winner)]


def _gap(one: Cell, other: Cell, found: Analysis) -> str:
    difference = gap(one, other)
    return points(difference.mean if difference else 0.0, digits_of(found.facts.items))


def _items(cells: Sequence[Cell], found: Analysis) -> str:
    used = f"{found.facts.items:,} test items and {seeds_of(len(found.facts.seeds))} were used"
    needed = [run.comparison.get("items_needed") for cell in cells for run in cell.runs]
    wanted = min((number for number in needed if number), default=None)
    return f"{used}; about {wanted:,} items would settle the first." if wanted else f"{used}."
