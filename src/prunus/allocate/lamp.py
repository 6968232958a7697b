"""Layer-adaptive magnitude: a global ranking of scores that are normalised inside each group."""

from dataclasses import dataclass
from typing import final

import numpy as np

from prunus.allocate.base import Allocator, Ascending, Counts, Problem, check_share


@final
@dataclass(frozen=True, kw_only=True)
class LAMP(Allocator):
    """All units compete by the square of their score over that of all of their group no smaller.

    With the scores of a group ascending, s_1 <= ... <= s_U, unit i stands at
    s_i^2 / (s_i^2 + ... + s_U^2). The last of each group stands at one, so no group is emptied
    before all others are down to one unit, and scores of any scale compare.

    The criterion of this name is the same for magnitudes: `allocation="lamp"` does it for any
    criterion. Scores below zero stand at zero.

    Made for single weights; on channels of residual networks it is often worse than `Uniform`.

    Cost: one sort of each group, three times where every weight is a unit.

    Source: Lee et al. 2020, arXiv:2010.07611. Differs: sums are in float64 and of positive terms;
    the original subtracts float32 sums, which cancel.

    Attributes:
        floor: The least that every group keeps, as a share of what `Uniform` would leave it.

    Example: scores (1, 2) stand at 1/5 and 1, scores (30, 40) at 9/25 and 1: with three units to
    keep the 1 goes, with two to keep the 30.
    """

    floor: float = 0.0

    def __post_init__(self) -> None:
        check_share(self, "floor", self.floor)

    def counts(self, problem: Problem) -> Counts:
        """Return the units kept per group."""
        held = problem.with_floor(self.floor)
        return held.compared_by(_normalised).remove_lowest(within=lambda _: "model")


def _normalised(name: str, score_U: Ascending) -> Ascending:
    """(U,) ascending -> (U,) ascending; of equal scores each stands higher than the one before."""
    square_U = score_U.clip(0, np.finfo(np.float32).max) ** 2
    no_smaller_U = np.cumsum(square_U[::-1])[::-1]
    return np.maximum.accumulate(square_U / np.maximum(no_smaller_U, np.finfo(np.float64).tiny))
