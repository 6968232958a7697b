"""What to do with the model, after a study: one recommendation per granularity, with its reasons.

The rule, fixed before any run:

1. Only a strategy whose verdict is "same" on most of the seeds that were planned, and "worse" on
   none, comes into question.
2. Of these the smallest budget wins.
3. At that budget, what cannot be told apart from the most accurate is a tie, and the strategy
   that needs least wins it: weights only, then data, then labels, then training.
4. A dense network of the same cost, trained from scratch, beats it where that too has the verdict
   "same" and is at least as accurate, or has it at a smaller budget.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from prunus.study import reasons
from prunus.study.analysis import Analysis, Cell, analyse
from prunus.study.records import Study
from prunus.study.words import place, unit_of

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
        reasons: Why, a sentence or two each, most important first; at least one.
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
        >>> facts = Facts(
        ...     title="", dense={"params": 9}, recovery={}, margin=0.01, items=100, batch=1,
        ...     threads=1, seeds=(0,), versions={}, fingerprint="",
        ... )
        >>> recommend(Study(facts=facts, runs=()))[0].headline
        'Nothing has been measured yet.'
    """
    found = analyse(study)
    if found.cells:
        return tuple(_advise(found, granularity) for granularity in found.granularities)
    nothing = Recommendation(
        advice="not enough data",
        granularity="",
        cell=None,
        headline="Nothing has been measured yet.",
        reasons=("The study has no finished run.",),
    )
    return (nothing,)


def _advise(found: Analysis, granularity: str) -> Recommendation:
    planned = len(found.facts.seeds)
    same = [
        cell
        for cell in found.within(granularity)
        if cell.verdict == "same" and cell.same * 2 > planned
    ]
    pruned = _smallest(cell for cell in same if cell.kind == "pruned")
    scratch = _smallest(cell for cell in same if cell.kind == "scratch")
    winner = winner_of(pruned, found) if pruned else None
    if scratch and (winner is None or _beats(scratch[0], winner)):
        return _small_dense(found, scratch[0], winner)
    if winner is not None:
        return _prune(found, winner, pruned)
    return _none(found, granularity)


def _smallest(cells: Iterable[Cell]) -> list[Cell]:
    """Return the cells with the smallest budget of all."""
    cells = list(cells)
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


# -- the kinds of advice ------------------------------------------------------------------------


def _prune(found: Analysis, winner: Cell, rivals: Sequence[Cell]) -> Recommendation:
    granularity = winner.point.granularity
    why = (
        reasons.same_as_dense(winner, found),
        reasons.smaller_budgets(winner, found),
        reasons.rivals(winner, rivals, found),
        reasons.gain(winner, found),
        reasons.control(winner, found),
        reasons.scratch(winner, found),
        reasons.saved(winner),
    )
    return Recommendation(
        advice="prune",
        granularity=granularity,
        cell=winner,
        headline=f"Prune at {granularity} level with {winner.strategy}, down to "
        f"{place(winner.point)}.",
        reasons=tuple(filter(None, why)),
    )


def _small_dense(found: Analysis, scratch: Cell, winner: Cell | None) -> Recommendation:
    granularity = scratch.point.granularity
    why = (
        reasons.same_as_dense(scratch, found),
        reasons.against_pruned(scratch, winner, found),
        reasons.gain(scratch, found),
        reasons.saved(scratch),
    )
    return Recommendation(
        advice="small dense",
        granularity=granularity,
        cell=scratch,
        headline=f"None of these at {granularity} level: take the small dense network, "
        f"trained from scratch, with {place(scratch.point)}.",
        reasons=tuple(filter(None, why)),
    )


def _none(found: Analysis, granularity: str) -> Recommendation:
    cells = [cell for cell in found.within(granularity) if cell.kind != "control"]
    undecided = [cell for cell in cells if cell.verdict != "worse"]
    size = unit_of(found).margin(found.facts.margin)
    if cells and not undecided:
        return Recommendation(
            advice="stay dense",
            granularity=granularity,
            cell=None,
            headline=f"Stay dense: at {granularity} level every network loses more than {size}.",
            reasons=(reasons.nearest(cells, found),),
        )
    why: tuple[str, ...] = ("Only the random control has run.",)
    if cells:
        why = (
            f"No network has the verdict “same” on most seeds at the margin of {size}, and "
            f"{len(undecided)} of {len(cells)} are not shown to be worse either.",
            reasons.nearest(undecided, found),
            reasons.items_used(undecided, found),
        )
    return Recommendation(
        advice="not enough data",
        granularity=granularity,
        cell=None,
        headline=f"Not enough data to tell at {granularity} level: stay dense until there is.",
        reasons=why,
    )
