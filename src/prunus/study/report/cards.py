"""What speaks for a strategy and what against it: sentences made from what was measured."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from prunus.study.analysis import Analysis, Cell, Point, Relation, estimate, gap
from prunus.study.records import Failure
from prunus.study.report.blocks import Balance, Card, Paragraph
from prunus.study.report.tables import cell_table
from prunus.study.words import (
    listing,
    needs_of,
    place,
    places,
    seconds,
    times,
    unit_of,
)
from prunus.text import amount

COLLAPSE = 0.10  # a loss of accuracy, after recovery, that is called a collapse;
MARGINS = 10  # of another metric, a loss of as many margins
STARVED = 0.05  # a group that keeps less than this share of its units is named
FASTER = 1.05  # a smaller speed-up is none: timings vary by as much
SMALLER = 0.99  # of the stored bytes

_TAGS = {"pruned": "pruning", "control": "control: random choice", "scratch": "control: no pruning"}


class Finding(NamedTuple):
    """A sentence that speaks for a strategy, or against it."""

    good: bool
    text: str


def card(strategy: str, found: Analysis, failures: Sequence[Failure]) -> Card:
    """Return what was measured of one strategy, at all granularities and budgets."""
    cells = found.of(strategy)
    balances = []
    for granularity in dict.fromkeys(cell.point.granularity for cell in cells):
        own = [cell for cell in cells if cell.point.granularity == granularity]
        findings = [*_sameness(own), *_controls(own, found), *_collapse(own, found)]
        findings += [*_speed(own, found), *_bytes(own, found)]
        findings += _failed(strategy, granularity, failures)
        balances.append(
            Balance(
                title=f"{granularity[:1].upper()}{granularity[1:]} level",
                advantages=tuple(finding.text for finding in findings if finding.good),
                drawbacks=tuple(finding.text for finding in findings if not finding.good),
            )
        )
    return Card(
        title=strategy,
        tag=_TAGS[cells[0].kind],
        blocks=(
            Paragraph(f"{_needs(cells[0])} {_cost(cells)}"),
            *balances,
            cell_table(cells, found),
        ),
    )


def _needs(cell: Cell) -> str:
    if cell.kind == "scratch":
        return "Needs no trained model, but data, labels and a whole training."
    if cell.labour == 0:
        return "Needs the weights only: no data, no labels, no training before the cut."
    return f"Needs {listing(needs_of(cell.needs).split(', '))} to choose what to keep."


def _cost(cells: Sequence[Cell]) -> str:
    """Return what it costs to make one model, mean over all its runs."""
    runs = [run for cell in cells for run in cell.runs]
    score = estimate(run.score_seconds for run in runs)
    memory = estimate(run.score_bytes for run in runs)
    penalty = estimate(run.penalty_seconds for run in runs)
    recover = estimate(run.recover_seconds for run in runs)
    scratch = cells[0].kind == "scratch"
    parts = []
    if score is not None:
        extra = f" and {amount(memory.mean)}B of extra memory" if memory is not None else ""
        parts.append(f"{seconds(score.mean)}{extra} to score and choose")
    if penalty is not None:
        parts.append(f"{seconds(penalty.mean)} of training under the penalty")
    if recover is not None:
        whole = scratch or ("training" in cells[0].needs and penalty is None)
        parts.append(f"{seconds(recover.mean)} {'of training' if whole else 'to recover'}")
    unknown = " What scoring costs was not measured." if score is None and not scratch else ""
    steps = estimate(run.steps for run in runs)
    counted = f" It is trained for {steps.mean:,.0f} steps in all." if steps is not None else ""
    return f"One model takes {listing(parts)}.{counted}{unknown}"


# -- findings -----------------------------------------------------------------------------------


def _where(some: Sequence[Point], cells: Sequence[Cell]) -> str:
    """Return which of the operating points of a strategy these are."""
    return "every budget" if len(some) == len(cells) > 1 else places(some)


def _sameness(cells: Sequence[Cell]) -> Iterator[Finding]:
    for verdict, good, text in (
        ("same", True, "As accurate as the dense model at"),
        ("worse", False, "Worse than the dense model, by more than the margin, at"),
        ("not enough data to tell", False, "Not enough data to tell whether it is as accurate at"),
    ):
        where = [cell.point for cell in cells if cell.verdict == verdict]
        if where:
            yield Finding(good, f"{text} {_where(where, cells)}.")


def _controls(cells: Sequence[Cell], found: Analysis) -> Iterator[Finding]:
    if cells[0].kind != "pruned":
        return
    unit = unit_of(found)
    for kind, name in (
        ("control", "a random choice"),
        ("scratch", "a small dense network from scratch"),
    ):
        by_relation: dict[Relation, list[tuple[Point, float]]] = {}
        for cell in cells:
            other = found.first(kind, cell.point)
            difference = gap(cell, other) if other is not None else None
            if other is not None and difference is not None:
                entry = (cell.point, difference.mean)
                by_relation.setdefault(found.relation(cell, other), []).append(entry)
        for relation, entries in by_relation.items():
            own = [point for point, _ in entries]
            where = _where(own, cells)
            if relation in {"better", "worse"}:
                where = places(own)
                sizes = listing(unit.size(size) for _, size in entries)
                text = f"{relation.capitalize()} than {name} at {where}, by {sizes}."
                yield Finding(relation == "better", text)
            elif relation == "within noise":
                text = f"No better than {name} at {where} (within seed noise)."
                yield Finding(good=False, text=text)
            else:
                yield Finding(good=False, text=f"One seed does not tell it from {name} at {where}.")


def _collapse(cells: Sequence[Cell], found: Analysis) -> Iterator[Finding]:
    dense, margin, unit = found.facts.dense["accuracy"], found.facts.margin, unit_of(found)
    collapse = COLLAPSE if found.shares else MARGINS * margin
    mildest = cells[0].over_seeds(lambda run: run.accuracy_cut)
    if mildest is not None:
        right = f"{unit.value(mildest.mean)} right after the cut to {place(cells[0].point)}"
        if mildest.mean >= dense - margin:
            yield Finding(good=True, text=f"Hardly needs recovery: {right}.")
        elif mildest.mean < dense - collapse:
            yield Finding(good=False, text=f"Needs recovery: {right}.")
    fallen = next((cell for cell in cells if cell.accuracy < dense - collapse), None)
    if fallen is not None:
        loss = unit.size(dense - fallen.accuracy)
        where = place(fallen.point)
        yield Finding(good=False, text=f"Collapses at {where}: {loss} below dense after recovery.")
    for cell in cells:
        if starved := _starved(cell):
            where = place(cell.point)
            yield Finding(good=False, text=f"At {where} it leaves little of {listing(starved)}.")
            return


def _starved(cell: Cell) -> list[str]:
    """Return the groups that keep hardly any of their units, in words."""
    counts: dict[str, list[tuple[int, int]]] = {}
    for run in cell.runs:
        for name, count in run.kept.items():
            counts.setdefault(name, []).append(count)
    found = []
    for name, pairs in counts.items():
        kept = sum(kept for kept, _ in pairs) / len(pairs)
        size = pairs[0][1]
        if kept < STARVED * size:
            found.append(f"{name} ({kept:.3g} of {size})")
    return found if len(found) <= 3 else [*found[:3], f"{len(found) - 3} more"]


def _speed(cells: Sequence[Cell], found: Analysis) -> Iterator[Finding]:
    timed = [(cell.point, cell.speed_up.mean) for cell in cells if cell.speed_up is not None]
    if not timed:
        yield Finding(good=False, text="How fast it is was not measured.")
        return
    if found.zeros_only(cells[0]):
        ends = (times(min(ratio for _, ratio in timed)), times(max(ratio for _, ratio in timed)))
        measured = " to ".join(dict.fromkeys(ends))
        yield Finding(good=False, text=f"Not faster: zeros in dense tensors (measured {measured}).")
        return
    for faster in (True, False):
        chosen = [(point, ratio) for point, ratio in timed if (ratio >= FASTER) is faster]
        if chosen:
            ratios = listing(times(ratio) for _, ratio in chosen)
            start = f"Measured speed-up {ratios}" if faster else f"Not faster (measured {ratios})"
            yield Finding(faster, f"{start} at {places([point for point, _ in chosen])}.")


def _bytes(cells: Sequence[Cell], found: Analysis) -> Iterator[Finding]:
    dense = found.facts.dense["bytes"]
    sizes = [(cell.point, cell.mean(lambda run: run.bytes)) for cell in cells]
    smaller = [(point, size) for point, size in sizes if size < SMALLER * dense]
    if smaller:
        saved = listing(f"{100 * (1 - size / dense):.0f}" for _, size in smaller)
        where = places([point for point, _ in smaller])
        yield Finding(good=True, text=f"Saves {saved} % of the stored bytes at {where}.")
    else:
        yield Finding(good=False, text="Saves no bytes: zeros are stored like any other number.")


def _failed(strategy: str, granularity: str, failures: Sequence[Failure]) -> Iterator[Finding]:
    own = [f for f in failures if (f.strategy, f.granularity) == (strategy, granularity)]
    for budget, what in dict.fromkeys((failure.budget, failure.what) for failure in own):
        yield Finding(good=False, text=f"Did not run at {budget}: {what}.")
