"""Only like groups compete with each other."""

from dataclasses import dataclass
from typing import final

from prunus.allocate.base import Allocator, Counts, Problem, check_share
from prunus.allocate.layers import in_weights
from prunus.records import Group, Member


@final
@dataclass(frozen=True, kw_only=True)
class Isomorphic(Allocator):
    """All groups of one structure compete; each such pool loses the same share of its units.

    Two groups have one structure where their units own the same kinds of slices: as many of
    matrices or of kernels of that size, on the side that makes the units or on the side that
    reads them, and as many others. Widths do not matter. So the hidden neurons of all MLPs of a
    transformer compete, as do all its heads, but neither with the other, and depthwise
    convolutions apart: magnitudes of unlike structures do not compare.

    Source: Fang et al. 2024, arXiv:2407.04616. Differs: there structures are subgraphs of
    operators; here they are what units own in weights and norms, which the operators decide.

    Attributes:
        floor: The least that every group keeps, as a share of what `Uniform` would leave it.

    Example: kernels with scores (1, 2) and (3, 4) and a matrix with scores (9, 8), half of all to
    keep: of the kernels 3 and 4 stay, of the matrix 9. A global ranking would keep 4, 8 and 9.
    """

    floor: float = 0.0

    def __post_init__(self) -> None:
        check_share(self, "floor", self.floor)

    def counts(self, problem: Problem) -> Counts:
        """Return the units kept per group."""
        held = problem.with_floor(self.floor)
        return held.remove_lowest(within=lambda group: structure(group, problem))


def structure(group: Group, problem: Problem) -> str:
    """Return what the units of a group are made of, as text that like groups share."""
    weights = in_weights(group, problem)
    kinds = [_kind(member, problem.weights[member.tensor]) for member in weights]
    others = [f"{member.produces:d}{member.parameter:d}" for member in group.members]
    return f"{group.granularity} {sorted(kinds)} {sorted(others)}"


def _kind(member: Member, shape: tuple[int, ...]) -> str:
    """Return "kernel (3, 3) dim 0 makes", and whether it is depthwise."""
    side = "makes" if member.produces else "reads"
    depthwise = " depthwise" if len(shape) > 2 and shape[1] == 1 else ""
    return f"kernel {shape[2:]}{depthwise} dim {member.dim} {side}"
