"""The same share of every group."""

from dataclasses import dataclass
from typing import final

from prunus.allocate.base import Allocator, Counts, Problem


@final
@dataclass(frozen=True, kw_only=True)
class Uniform(Allocator):
    """Every group loses the same share of its units, as far as `min_units` lets it.

    Scores are compared inside a group only, so they may have any scale. The safe choice: no layer
    collapses. Better per MAC than a global ranking, worse per parameter (Blalock et al., "What is
    the State of Neural Network Pruning?", 2020, arXiv:2003.03033).

    Example: groups of 4 and 8 units that are to keep half of all units keep 2 and 4.
    """

    def counts(self, problem: Problem) -> Counts:
        """Return the units kept per group."""
        return problem.remove_lowest(within=lambda group: group.name)
