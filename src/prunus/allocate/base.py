"""What an allocator is given, and what it answers.

    problem = groups + scores + budget + costs
    allocator(problem) -> {group: units kept}

An allocator decides how many units each group keeps. Which ones is not its business: inside a
group the lowest scores go first, and of equal scores the unit that comes first goes first.

Legend: U units of a group, C chunks, G groups.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from math import ceil
from typing import Any, ClassVar, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prunus.allocate.budget import Budget
from prunus.allocate.meaning import check_meaning
from prunus.errors import BudgetError, CriterionError
from prunus.records import Group, Groups, Kept, Scores
from prunus.text import duration

Counts: TypeAlias = Mapping[str, int]
Measure: TypeAlias = Callable[[Mapping[str, Kept]], float]
"""How much worse the model is with only these units of these groups at work."""
Ascending: TypeAlias = npt.NDArray[np.float64]  # (U,)

PIECE = 2**18  # scores looked at together: small enough to stay in the cache of a core


class Costs(Protocol):
    """What a model costs that keeps `counts` units. Groups that are absent keep all.

    Every figure grows with every count. Where there is a latency table there is also `latency`, in
    nanoseconds.
    """

    def params(self, counts: Counts, /) -> int:
        """Return the number of parameters."""

    def macs(self, counts: Counts, /) -> int:
        """Return the multiply-adds of one forward pass."""

    def bytes(self, counts: Counts, /) -> int:
        """Return the bytes of all parameters and buffers."""


@dataclass(frozen=True, kw_only=True)
class Problem(ABC):
    """What an allocator decides on.

    Attributes:
        groups: All groups of the model, frozen ones included.
        scores: One score per unit.
        budget: What the result may cost.
        costs: What a choice of counts costs.
        weights: The shapes of all matrices and kernels by name, in the order in which they run.
        measure: What a choice of units does to the model; None where there are no data.
        floors: The fewest units that a group may keep, where that is more than `min_units`.

    Raises:
        BudgetError: A field of the budget has no meaning for these groups.
    """

    groups: Groups
    scores: Scores
    budget: Budget
    costs: Costs
    weights: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    measure: Measure | None = None
    floors: Counts = field(default_factory=dict)

    words: ClassVar[Mapping[str, str]]
    """What each target counts, for error messages."""

    def __post_init__(self) -> None:
        for kind in sorted({group.granularity for group in self.groups.values()}):
            check_meaning(self.budget, kind)

    @abstractmethod
    def remove_lowest(
        self,
        *,
        within: Callable[[Group], str],
        density: Mapping[str, float] | None = None,
    ) -> dict[str, int]:
        """Remove units until every target is met, and no more; return the units kept per group.

        Args:
            within: The pool of a group, by any name. Inside a pool the lowest scores go first,
                whichever group they belong to. All pools lose the same share of their units, as
                far as `min_units` lets them.
            density: Per pool, how densely it is kept relative to the others: each keeps the share
                `s * density` of its units, at most all, with one `s` for the whole model. Pools
                that are absent have 1.
        """

    @abstractmethod
    def kept(self, counts: Counts) -> dict[str, Kept]:
        """Return which units stay, for the groups that lose any."""

    @abstractmethod
    def params(self, counts: Counts) -> int:
        """Return the number of parameters that are left."""

    # -- what every granularity shares --------------------------------------------------------

    @cached_property
    def free(self) -> Groups:
        """The groups that may lose units."""
        return {name: group for name, group in self.groups.items() if group.frozen_because is None}

    def smaller_counts(self, name: str) -> range:
        """Return the counts that a group may be cut to, ascending. Keeping all is allowed too."""
        step = self.budget.multiple_of
        asked = self.budget.min_units if self.free[name].least else 0
        least = max(asked, self.floors.get(name, 0))
        return range(-(-least // step) * step, self.free[name].size, step)

    def least(self, name: str) -> int:
        """Return the fewest units that a group may keep."""
        smaller = self.smaller_counts(name)
        return smaller[0] if smaller else self.free[name].size

    def with_floors(self, share: Mapping[str, float], *, by: object) -> Self:
        """Return the problem in which each group keeps at least a share of its units.

        Args:
            share: Per group the share; groups that are absent may go down to `min_units`. It is
                taken as the decimal that was typed, and rounded up.
            by: Who asks for it, for the error.

        Raises:
            BudgetError: The budget cannot be met so.
        """
        if not any(share.values()):
            return self
        floors = {
            name: ceil(Fraction(str(share[name])) * group.size)
            for name, group in self.free.items()
            if share.get(name)
        }
        problem = replace(self, floors=floors)
        least = {name: problem.least(name) for name in problem.free}
        for target in problem.missed(least):
            smallest, most = problem.cost(target, least), problem.limits[target]
            raise BudgetError(
                f"{self.budget} cannot be met by {by!r}",
                why=f"it keeps at least {self.said(target, smallest)} {self.words[target]}, "
                f"and the budget is {self.said(target, most)}",
                hint="allocation='uniform', a lower floor, or a larger budget",
            )
        return problem

    def with_floor(self, share: float) -> Self:
        """Return the problem in which each group keeps a share of what `Uniform` leaves it.

        At every budget there is a choice that meets it, so the floor never stands in the way.
        """
        if not share:
            return self
        uniform = self.remove_lowest(within=lambda group: group.name)
        least = {name: ceil(Fraction(str(share)) * count) for name, count in uniform.items()}
        return replace(self, floors=least)

    def compared_by(self, make: Callable[[str, Ascending], Ascending]) -> Self:
        """Return the problem in which other scores stand for those of each group.

        Inside a group the same units go first; what changes is how groups compare.

        Args:
            make: From the name of a group and its scores, ascending, to as many others, ascending
                too. What is at minus infinity stays there.

        Cost: Each reading sorts the scores of one group, also where every weight is a unit.
        """

        def stream(name: str) -> Iterator[Tensor]:
            score_U = np.sort(np.concatenate(list(self.pieces(name)))).astype(np.float64)
            other_U = np.where(score_U == -np.inf, score_U, make(name, score_U))
            yield torch.from_numpy(other_U.astype(np.float32))

        return replace(self, scores=Scores(self.scores.criterion, stream))

    def allows(self, name: str, count: int) -> bool:
        """Return whether a group may keep `count` units."""
        if name not in self.free:
            return False
        return count == self.free[name].size or count in self.smaller_counts(name)

    def pools(self, within: Callable[[Group], str]) -> dict[str, list[str]]:
        """Return the names of the free groups in each pool."""
        pools: dict[str, list[str]] = {}
        for name, group in self.free.items():
            pools.setdefault(within(group), []).append(name)
        return pools

    def cost(self, target: str, counts: Counts) -> int:
        """Return what the model has of `target` when groups keep `counts` units."""
        if target == "units":
            return sum(counts.get(name, group.size) for name, group in self.free.items())
        if target in ("params", "sparsity"):
            return self.params(counts)
        figure: int = getattr(self.costs, target)(counts)
        return figure

    def said(self, target: str, figure: int) -> str:
        """Return a figure of `target` as people read it."""
        return duration(figure / 1e6) if target == "latency" else str(figure)

    @cached_property
    def limits(self) -> Mapping[str, int]:
        """The most that the model may have of each target."""
        return {
            target: self.budget.limit(target, dense=self.cost(target, {}))
            for target in self.budget.targets
        }

    def missed(self, counts: Counts) -> list[str]:
        """Return the targets that `counts` does not meet."""
        return [target for target, most in self.limits.items() if self.cost(target, counts) > most]

    def pieces(self, name: str) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the scores of a group in pieces of at most `PIECE`.

        Raises:
            CriterionError: There are more or fewer scores than units, or one is NaN.
        """
        size, total = self.groups[name].size, 0
        for given in self.scores.stream(name):
            for start in range(0, given.numel(), PIECE):
                score_U = given[start : start + PIECE].detach().cpu().float().numpy()
                if np.isnan(score_U).any():
                    raise CriterionError(
                        f"{self.scores.criterion} gave NaN for group '{name}'",
                        why="a unit without a number has no rank",
                        hint="check the weights, the data and the loss for values not finite",
                    )
                total += score_U.size
                yield score_U
        if total != size:
            raise CriterionError(
                f"{self.scores.criterion} gave {total} scores for group '{name}'",
                why=f"the group has {size} units, and each needs exactly one score",
            )


class Allocator(ABC):
    """Decides how many units each group keeps.

    To add one: a frozen dataclass in its own file and `counts`. Most are one call of
    `problem.remove_lowest`; one that picks counts its own way reads `problem.free`,
    `smaller_counts`, `scores` and `cost`. The contract tests find the class by themselves.
    """

    measures: ClassVar[bool] = False
    """Whether it reads `problem.measure`, which costs passes over the data."""

    @abstractmethod
    def counts(self, problem: Problem) -> Counts:
        """Return the units kept per group; groups that are absent keep all.

        The problem can be met, and is not met by keeping all.
        """

    def __call__(self, problem: Problem) -> Counts:
        """Return `counts(problem)`, held to the contract.

        Raises:
            BudgetError: A count is not allowed, or a target is missed.
        """
        counts = self.counts(problem)
        for name, count in counts.items():
            if not problem.allows(name, count):
                raise self._broken(f"{count!r} units of group '{name}'", "the count is not allowed")
        if missed := problem.missed(counts):
            raise self._broken("too much", f"the budget {problem.budget} is missed: {missed}")
        return counts

    def _broken(self, kept: Any, why: str) -> BudgetError:
        return BudgetError(
            f"{self} keeps {kept}", why=why, hint="allocation='uniform' or allocation='global'"
        )


def check_share(settings: object, name: str, value: float) -> None:
    """Raise BudgetError unless a setting of an allocator is a share of units."""
    if not 0 <= value <= 1:
        raise BudgetError(
            f"{type(settings).__name__}({name}={value}) means nothing",
            why=f"{name} is a share of units, between 0 and 1",
        )
