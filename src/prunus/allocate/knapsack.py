"""The counts that keep the largest sum of scores which the budget can pay for."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from prunus.allocate.base import Allocator, Counts, Problem, check_share
from prunus.allocate.weights import Weights
from prunus.errors import BudgetError

Floats: TypeAlias = npt.NDArray[np.float64]

_CORRECTIONS = 4  # of a program whose answer is over the true costs
_GAP = 1e-4  # of the optimum, at which the solver stops
_NODES = 100  # of its search tree, after which it stops with the best so far
_BONUS = 1e-9  # of the largest score, for each unit: of equal sums the one with more units


@final
@dataclass(frozen=True, kw_only=True)
class Knapsack(Allocator):
    """The largest sum of kept scores within the budget, found by integer programming.

    One count is picked for every group, among those that `min_units` and `multiple_of` allow:
    maximise the sum over groups of the sum of its highest `count` scores, subject to every target
    of the budget. Scores below zero count as zero.

    Costs are products of counts, a layer's two ends. They are made linear around the counts at
    hand: the cost of a group at each of its counts, all others held, which is exact for one group
    and whatever its shape, so a staircase stays a staircase. The program is solved, the costs are
    made linear around the answer, and so on for `rounds`; each answer is brought within the true
    costs, what is left is filled up, and the best is returned. Where costs add up over groups,
    as units do, the first answer is the optimum; else it is the best of those found.

    Where weights are zeroed all cost the same, and the optimum is `Global`.

    Scores must be comparable between groups and add up: Taylor and Fisher do, norms less so.

    Needs SciPy. Cost: `rounds` programs of at most `levels` binary variables a group.

    Source: Wu et al. 2020, arXiv:2001.11686, and Shen et al. 2022, arXiv:2110.10811, for
    channels; solved by HiGHS (Huangfu and Hall 2018).

    Attributes:
        levels: Counts of a group that the program may pick from, evenly spread; filling up uses
            all. More take longer.
        rounds: How often costs are made linear.
        floor: The least that every group keeps, as a share of what `Uniform` would leave it.

    Raises:
        BudgetError: A setting means nothing, or SciPy is missing.

    Example: one group has scores (5, 4), one (6, 1), and a unit of the second costs twice as much.
    A budget of 3 is best spent on 6 and 5, one of 2 on 5 and 4.
    """

    levels: int = 64
    rounds: int = 4
    floor: float = 0.0

    def __post_init__(self) -> None:
        check_share(self, "floor", self.floor)
        if self.levels < 2 or self.rounds < 1:
            raise BudgetError(
                f"Knapsack(levels={self.levels}, rounds={self.rounds}) means nothing",
                why="levels must be 2 or more, rounds 1 or more",
            )

    def counts(self, problem: Problem) -> Counts:
        """Return the units kept per group."""
        held = problem.with_floor(self.floor)
        if isinstance(held, Weights):
            return held.remove_lowest(within=lambda _: "model")
        sack = _Sack(held, self.levels)
        return max(self._answers(sack), key=sack.value)

    def _answers(self, sack: "_Sack") -> Iterator[dict[str, int]]:
        """Yield choices that meet the budget and leave no room for more."""
        uniform = sack.problem.remove_lowest(within=lambda group: group.name)
        counts = sack.filled(sack.clipped(uniform))
        yield counts
        for _ in range(self.rounds):
            chosen = sack.solved(around=counts)
            if chosen is None:
                return
            improved = sack.filled(sack.within_budget(chosen))
            yield improved
            if improved == counts:
                return
            counts = improved


@dataclass(frozen=True)
class _Sack:
    """A problem as a knapsack: what each group may keep, and what that is worth.

    Attributes:
        problem: The problem.
        levels: See `Knapsack`.
    """

    problem: Problem
    levels: int

    @cached_property
    def allowed(self) -> Mapping[str, list[int]]:
        """Per group all counts that it may keep, ascending.

        Units at minus infinity are gone already, so a group cannot keep more than the others.
        """
        every = {
            name: [*self.problem.smaller_counts(name), group.size]
            for name, group in self.problem.free.items()
        }
        there = {name: int((score_U > -np.inf).sum()) for name, score_U in self._scores.items()}
        return {
            name: [count for count in counts if count <= there[name]] or counts
            for name, counts in every.items()
        }

    @cached_property
    def _scores(self) -> Mapping[str, Floats]:
        return {
            name: np.concatenate(list(self.problem.pieces(name))).astype(np.float64)
            for name in self.problem.free
        }

    def clipped(self, counts: Counts) -> dict[str, int]:
        """Return counts no larger than the groups may keep."""
        return {name: min(count, self.allowed[name][-1]) for name, count in counts.items()}

    @cached_property
    def worth(self) -> Mapping[str, Floats]:
        """Per group (U + 1,): the sum of its highest 0, 1, ... U scores, as shares of the most."""
        largest = float(np.finfo(np.float32).max)
        scores = {name: score_U.clip(0, largest) for name, score_U in self._scores.items()}
        most = max(float(score_U.max()) for score_U in scores.values()) or 1.0
        return {
            name: np.concatenate([[0.0], np.cumsum(np.sort(score_U)[::-1] / most + _BONUS)])
            for name, score_U in scores.items()
        }

    def value(self, counts: Counts) -> float:
        """Return the sum of kept scores."""
        return float(sum(self.worth[name][count] for name, count in counts.items()))

    def solved(self, *, around: Counts) -> dict[str, int] | None:
        """Return the best counts by costs made linear around some; None where nothing is found.

        Where the true costs of the answer are over a limit, the program gets that much less.
        """
        levels = {name: self._levels(name, around[name]) for name in self.allowed}
        worth = np.concatenate([self.worth[name][at] for name, at in levels.items()])
        every = np.concatenate([np.array(at) for at in levels.values()])
        costs, most = self._linear(levels, around)
        counts = None
        for _ in range(_CORRECTIONS):
            picked = _pick_one_of_each(worth, costs, most, [len(at) for at in levels.values()])
            if picked is None:
                break
            counts = dict(zip(levels, map(int, every[picked]), strict=True))
            over = self._over(counts)
            if over.max() <= 0:
                break
            most = most - over.clip(min=0)
        return counts

    def _over(self, counts: Counts) -> Floats:
        """Return by how much each target is over its limit, as a share of the limit."""
        limits = self.problem.limits.items()
        return np.array([self.problem.cost(target, counts) / most - 1 for target, most in limits])

    def _levels(self, name: str, count: int) -> list[int]:
        """Return some of the allowed counts: evenly spread, and those about `count`."""
        allowed = self.allowed[name]
        if len(allowed) <= self.levels:
            return allowed
        here = allowed.index(count)
        near = range(max(0, here - 4), min(len(allowed), here + 5))
        spread = np.linspace(0, len(allowed) - 1, self.levels - 9 if self.levels > 16 else 2)
        return [allowed[index] for index in sorted({*near, *map(int, spread.round())})]

    def _linear(self, levels: Mapping[str, list[int]], around: Counts) -> tuple[Floats, Floats]:
        """Return (targets, variables) costs and (targets,) limits, each as a share of its limit."""
        rows, most = [], []
        for target, limit in self.problem.limits.items():
            here = self.problem.cost(target, around)
            rows.append([
                (self.problem.cost(target, {**around, name: count}) - here) / limit
                for name, at in levels.items()
                for count in at
            ])
            most.append((limit - here) / limit)
        return np.array(rows), np.array(most)

    def within_budget(self, counts: Counts) -> dict[str, int]:
        """Return counts no larger that meet the budget; what is worth least for its cost goes."""
        now = dict(counts)
        while self.problem.missed(now):
            over = self._over(now)
            steps = list(self._steps(now, -1))
            now |= [max(steps, key=lambda step: self._saved_per_worth(now, step, over))]
        return now

    def _saved_per_worth(self, now: Counts, step: tuple[str, int], over: Floats) -> float:
        saved = (over - self._over({**now, step[0]: step[1]}))[over > 0].sum()
        return float(saved / max(-self._gain(now, step), _BONUS))

    def filled(self, counts: Counts) -> dict[str, int]:
        """Return counts no smaller that meet the budget, so that no group can keep more."""
        now = dict(counts)
        while steps := self._affordable(now):
            now |= [max(steps, key=lambda step: self._gain(now, step))]
        return now

    def _affordable(self, counts: Counts) -> list[tuple[str, int]]:
        return [
            (name, count)
            for name, count in self._steps(counts, +1)
            if not self.problem.missed({**counts, name: count})
        ]

    def _gain(self, counts: Counts, step: tuple[str, int]) -> float:
        name, count = step
        return float(self.worth[name][count] - self.worth[name][counts[name]])

    def _steps(self, counts: Counts, direction: int) -> Iterator[tuple[str, int]]:
        """Yield the next allowed count of every group, up or down."""
        for name, allowed in self.allowed.items():
            index = bisect_left(allowed, counts[name]) + direction
            if 0 <= index < len(allowed):
                yield name, allowed[index]


def _pick_one_of_each(
    worth_V: Floats, cost_TV: Floats, most_T: Floats, sizes: list[int]
) -> npt.NDArray[np.int64] | None:
    """Return which variables to set: one of each run of `sizes`, of the largest worth.

    Raises:
        BudgetError: SciPy is missing.
    """
    try:
        from scipy.optimize import Bounds, LinearConstraint, milp
    except ImportError:
        raise BudgetError(
            "allocation='knapsack' needs SciPy, which is not installed",
            hint="pip install 'prunus[knapsack]', or allocation='global'",
        ) from None
    one_GV = np.repeat(np.eye(len(sizes)), sizes, axis=1)
    found = milp(
        -worth_V,
        integrality=np.ones(worth_V.size),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_GV, 1, 1),
            LinearConstraint(cost_TV, ub=most_T),
        ],
        options={"mip_rel_gap": _GAP, "node_limit": _NODES},
    )
    return None if found.x is None else np.flatnonzero(found.x > 0.5)
