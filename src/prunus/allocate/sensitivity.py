"""Groups lose units for as long as the model, measured, hardly suffers."""

from dataclasses import dataclass
from typing import ClassVar, TypeAlias, final

import numpy as np

from prunus.allocate.base import (
    Allocator,
    Ascending,
    Counts,
    Measure,
    Problem,
    check_share,
)
from prunus.errors import DataError

Curve: TypeAlias = tuple[Ascending, Ascending]

_WORST = 1e30


@final
@dataclass(frozen=True, kw_only=True)
class Sensitivity(Allocator):
    """All groups are cut until each alone would make the model worse by the same amount.

    Every group is cut alone, to each of some shares of its units, and the model is run on the
    user's data: how much the loss rises, or, where no loss is given, how far the outputs move
    relative to their size. Between the measured shares the curve is straight, and it never falls.
    The largest model that meets the budget with all groups at one height of their curves is
    taken: insensitive groups lose most. Scores decide inside a group only.

    A model that is broken cannot get much worse, so curves flatten at strong cuts, and without a
    floor a layer of the flattest curve would be emptied.

    Cost: a pass over the data for each share of each group; read few batches.

    Source: Han et al. 2015, arXiv:1506.02626, section 3.1, and Li et al. 2016, arXiv:1608.08710,
    section 3.2, who look at such curves and pick shares by hand. Differs: one height for all.

    Attributes:
        shares: Of its units that a group keeps when it is measured, descending.
        floor: The least that every group keeps, as a share of what `Uniform` would leave it.

    Raises:
        DataError: There are no data to measure on.

    Example: a group of 8 whose loss rises by 1 when half is gone and one of 8 whose loss rises by
    3: with 10 of 16 to keep, the first keeps about 3 and the second about 7.
    """

    shares: tuple[float, ...] = (0.875, 0.75, 0.5, 0.25, 0.125)
    floor: float = 0.25

    measures: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_share(self, "floor", self.floor)
        for share in self.shares:
            check_share(self, "shares", share)

    def counts(self, problem: Problem) -> Counts:
        """Return the units kept per group."""
        if problem.measure is None:
            raise DataError(
                f"{self!r} needs data to measure on, but none was given",
                why="it runs the model with one group cut at a time",
                hint="pass data=loader, and loss= to go by the loss",
            )
        held = problem.with_floor(self.floor)
        curves = {name: self._curve(problem, name, problem.measure) for name in problem.free}
        heights = held.compared_by(lambda name, score_U: _heights(curves[name], score_U.size))
        return heights.remove_lowest(within=lambda _: "model")

    def _curve(self, problem: Problem, name: str, measure: Measure) -> Curve:
        """Return shares removed, ascending, and how much worse the model is at each."""
        size, least = problem.free[name].size, problem.least(name)
        wanted = {max(least, round(share * size)) for share in self.shares}
        counts = sorted(wanted - {size}, reverse=True)
        worse = np.array([measure(problem.kept({name: count})) for count in counts])
        # A loss that is no number any more is as bad as it gets.
        worse = np.nan_to_num(worse, nan=_WORST, posinf=_WORST)
        removed = [0.0, *(1 - count / size for count in counts)]
        return np.array(removed), np.maximum.accumulate([0.0, *worse])


def _heights(curve: Curve, size: int) -> Ascending:
    """Return the height of a curve as each of so many units goes; past its end, its last slope."""
    removed, worse = curve
    gone_U = (np.arange(size) + 1) / size
    height_U = np.interp(gone_U, removed, worse)
    if removed.size > 1:
        slope = (worse[-1] - worse[-2]) / (removed[-1] - removed[-2])
        height_U += slope * (gone_U - removed[-1]).clip(min=0)
    return height_U
