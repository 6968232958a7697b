"""What the runs of a study say together: figures over seeds, and which differences are noise.

Two questions are kept apart. Is *this* pruned model as accurate as the dense one? That is settled
on test items, by the verdict of each run. Is this *way of pruning* better than that one? That is
settled over seeds, by paired differences.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import torch

from prunus.study.records import Facts, Run, Study
from prunus.verify.comparison import Verdict
from prunus.verify.statistics import t_interval

Relation: TypeAlias = Literal["better", "worse", "within noise", "unknown"]

# From simple to laborious; a strategy is as laborious as the most laborious thing it needs.
NEEDS = ("data", "labels", "training")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: The mean.
        reach: Half the width of its 95 % interval (Student's t); None with a single seed.
    """

    mean: float
    reach: float | None


def estimate(values: Iterable[float | None]) -> Estimate | None:
    """Return the mean of the values that are there, with its interval; None if there is none.

    Example:
        >>> estimate([0.5, None]), estimate([])
        (Estimate(mean=0.5, reach=None), None)
        >>> round(estimate([0.01, 0.02, 0.03]).reach, 4)
        0.0248
    """
    found = [value for value in values if value is not None]
    if not found:
        return None
    mean = sum(found) / len(found)
    if len(found) == 1:
        return Estimate(mean=mean, reach=None)
    lower, upper = t_interval(torch.tensor(found, dtype=torch.float64))
    return Estimate(mean=mean, reach=(upper - lower) / 2)


@dataclass(frozen=True, kw_only=True)
class Point:
    """An operating point: one granularity at one budget."""

    granularity: str
    budget: str
    target: str
    fraction: float


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One strategy at one operating point: its runs, one per seed, by seed."""

    point: Point
    runs: tuple[Run, ...]

    @property
    def strategy(self) -> str:
        """Its name."""
        return self.runs[0].strategy

    @property
    def kind(self) -> Literal["pruned", "control", "scratch"]:
        """What it is in the comparison."""
        return self.runs[0].kind

    @property
    def needs(self) -> tuple[str, ...]:
        """What it needs beside the weights."""
        return self.runs[0].needs

    @property
    def labour(self) -> int:
        """How laborious the strategy is: 0 where the weights are all it needs."""
        ranks = [NEEDS.index(need) if need in NEEDS else len(NEEDS) for need in self.needs]
        return max(ranks, default=-1) + 1

    def over_seeds(self, figure: Callable[[Run], float | None]) -> Estimate | None:
        """Return the mean of a figure of its runs, None where no run has it."""
        return estimate(figure(run) for run in self.runs)

    def mean(self, figure: Callable[[Run], float]) -> float:
        """Return the mean of a figure that every run has."""
        return sum(figure(run) for run in self.runs) / len(self.runs)

    def compared(self, figure: str) -> float:
        """Return the mean over seeds of a figure of the comparison with the dense model."""
        return self.mean(lambda run: run.comparison[figure])

    @property
    def accuracy(self) -> float:
        """Mean accuracy after recovery."""
        return self.mean(lambda run: run.accuracy)

    @property
    def speed_up(self) -> Estimate | None:
        """Measured latency of the dense model over that of the result."""
        return self.over_seeds(_speed_up)

    @property
    def same(self) -> int:
        """Number of seeds with the verdict "same"."""
        return [run.comparison["verdict"] for run in self.runs].count("same")

    @property
    def verdict(self) -> Verdict:
        """The verdict of most seeds; "same" only where no seed is "worse"."""
        verdicts = [run.comparison["verdict"] for run in self.runs]
        if verdicts.count("worse") * 2 > len(verdicts):
            return "worse"
        if "worse" not in verdicts and self.same * 2 > len(verdicts):
            return "same"
        return "not enough data to tell"


def _speed_up(run: Run) -> float | None:
    if run.latency is None or run.latency_dense is None or run.latency <= 0:
        return None
    return run.latency_dense / run.latency


def gap(one: Cell, other: Cell) -> Estimate | None:
    """Return the accuracy of `one` minus that of `other`, paired by seed; None without pairs."""
    theirs = {run.seed: run.accuracy for run in other.runs}
    return estimate(run.accuracy - theirs[run.seed] for run in one.runs if run.seed in theirs)


def relation(one: Cell, other: Cell, *, item: float) -> Relation:
    """Return how `one` does against `other`, as far as the seeds tell.

    A difference is noise where its interval over seeds holds 0, or where it is no more than what
    one `item` is worth: three seeds that agree by chance would else make a finding of it.
    """
    found = gap(one, other)
    if found is None or found.reach is None:
        return "unknown"
    if abs(found.mean) <= max(found.reach, 1.0001 * item):
        return "within noise"
    return "better" if found.mean > 0 else "worse"


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """The runs of a study, sorted: operating points, and the cells at each.

    Attributes:
        facts: Of the study.
        points: Granularities whose tensors become smaller first; largest budget first in each.
        cells: In the order of `points`, and within one in the order in which they ran.
        zeroed: Granularities that zero weights and make no tensor smaller.
        shares: Whether accuracies are shares of the test items, and not another metric.
    """

    facts: Facts
    points: tuple[Point, ...]
    cells: tuple[Cell, ...]
    zeroed: frozenset[str]
    shares: bool

    @cached_property
    def granularities(self) -> tuple[str, ...]:
        """In the order of `points`."""
        return tuple(dict.fromkeys(point.granularity for point in self.points))

    @cached_property
    def strategies(self) -> tuple[str, ...]:
        """Pruning strategies, then random, then the dense network from scratch."""
        order = ("pruned", "control", "scratch")
        ranked = sorted(self.cells, key=lambda cell: order.index(cell.kind))
        return tuple(dict.fromkeys(cell.strategy for cell in ranked))

    def at(self, point: Point) -> tuple[Cell, ...]:
        """Return the cells of an operating point."""
        return tuple(cell for cell in self.cells if cell.point == point)

    def of(self, strategy: str) -> tuple[Cell, ...]:
        """Return the cells of a strategy."""
        return tuple(cell for cell in self.cells if cell.strategy == strategy)

    def within(self, granularity: str) -> tuple[Cell, ...]:
        """Return the cells of a granularity."""
        return tuple(cell for cell in self.cells if cell.point.granularity == granularity)

    def first(self, kind: str, point: Point) -> Cell | None:
        """Return the first cell of a kind at an operating point, if there is one."""
        return next((cell for cell in self.at(point) if cell.kind == kind), None)

    def zeros_only(self, cell: Cell) -> bool:
        """Whether weights were zeroed and no tensor became smaller."""
        return cell.kind != "scratch" and cell.point.granularity in self.zeroed

    def relation(self, one: Cell, other: Cell) -> Relation:
        """Return how `one` does against `other`: see `relation`."""
        item = 1 / self.facts.items if self.shares else 0.0
        return relation(one, other, item=item)


def analyse(study: Study) -> Analysis:
    """Sort the runs of a study into cells."""
    runs: dict[tuple[Point, str], dict[int, Run]] = {}
    for run in study.runs:
        point = Point(
            granularity=run.granularity,
            budget=run.budget,
            target=run.target,
            fraction=run.fraction,
        )
        runs.setdefault((point, run.strategy), {})[run.seed] = run
    cells = [
        Cell(point=point, runs=tuple(seeds[seed] for seed in sorted(seeds)))
        for (point, _), seeds in runs.items()
    ]
    granularities = list(dict.fromkeys(cell.point.granularity for cell in cells))
    pruned = [run for run in study.runs if run.kind != "scratch"]
    dense = study.facts.dense["params"]
    zeroed = frozenset(run.granularity for run in pruned)
    zeroed -= {run.granularity for run in pruned if run.params < dense}

    def place(point: Point) -> tuple[bool, int, float]:
        return (
            point.granularity in zeroed,
            granularities.index(point.granularity),
            -point.fraction,
        )

    points = tuple(sorted(dict.fromkeys(cell.point for cell in cells), key=place))
    ordered = tuple(sorted(cells, key=lambda cell: points.index(cell.point)))
    shares = all(run.comparison.get("lost", 0) is not None for run in study.runs)
    return Analysis(facts=study.facts, points=points, cells=ordered, zeroed=zeroed, shares=shares)
