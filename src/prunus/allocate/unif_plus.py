"""Unif+: the same share of every group, but the first layer whole and the last one not too thin."""

from dataclasses import dataclass
from typing import final

from prunus.allocate.base import Allocator, Counts, Problem, check_share
from prunus.allocate.layers import in_weights, shapes_of


@final
@dataclass(frozen=True, kw_only=True)
class UnifPlus(Allocator):
    """Every group loses the same share, but the first layer loses nothing and the last little.

    The first layer is the first matrix or kernel that runs, the last the last one. Groups with
    units in the first stay whole; groups with units in the last keep at least `last` of them.
    Where channels are removed, the first layer's are those that it makes, and all that is added
    to them: in a residual network that is a whole stage.

    Scores are compared inside a group only.

    Source: Gale et al. 2019, arXiv:1902.09574, section 5.1; named by Lee et al. 2020,
    arXiv:2010.07611.

    Attributes:
        last: The least share of its units that the last layer keeps.

    Raises:
        BudgetError: The budget cannot be met so, or the layers are not known.

    Example: three layers of 10 weights that are to keep 16 of the 30 keep 10, 3 and 3; of 13 to
    keep, 10, 1 and 2.
    """

    last: float = 0.2

    def __post_init__(self) -> None:
        check_share(self, "last", self.last)

    def counts(self, problem: Problem) -> Counts:
        """Return the units kept per group."""
        names = list(shapes_of(problem, asked_by=self))
        lies_in = {
            name: {member.tensor for member in in_weights(group, problem)}
            for name, group in problem.free.items()
        }
        floors = {name: self.last for name, layers in lies_in.items() if names[-1] in layers}
        floors |= {name: 1.0 for name, layers in lies_in.items() if names[0] in layers}
        held = problem.with_floors(floors, by=self)
        return held.remove_lowest(within=lambda group: group.name)
