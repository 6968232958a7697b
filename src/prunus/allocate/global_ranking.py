"""The lowest scores of the whole model."""

from dataclasses import dataclass
from typing import final

from prunus.allocate.base import Allocator, Counts, Problem, check_share


@final
@dataclass(frozen=True, kw_only=True)
class Global(Allocator):
    """All units of the model compete: the lowest scores go, in whichever group they are.

    Scores must be comparable between groups. At strong budgets a group of low scores may lose
    nearly all of its units (layer collapse, Tanaka et al., 2020, arXiv:2006.05467); `min_units`
    and `floor` hold it.

    Source: Han et al., "Learning both Weights and Connections", 2015, arXiv:1506.02626, for one
    threshold; Molchanov et al., 2019, arXiv:1906.10771, for channels of all layers in one ranking.

    Attributes:
        floor: The least that every group keeps, as a share of what `Uniform` would leave it.

    Example: scores (1, 5) and (2, 3) with three units to keep lose the 1.
    """

    floor: float = 0.0

    def __post_init__(self) -> None:
        check_share(self, "floor", self.floor)

    def counts(self, problem: Problem) -> Counts:
        """Return the units kept per group."""
        held = problem.with_floor(self.floor)
        return held.remove_lowest(within=lambda _: "model")
