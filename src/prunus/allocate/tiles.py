"""Choosing among weights that lie in tiles: blocks go as a whole, of every slot the same number.

Criteria score single weights and know nothing of tiles: what a tile makes of the scores of its
weights is said here, once for all of them.

Legend: T tiles, F weights of a tile, U weights of a tensor.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from prunus.allocate.base import Allocator, Measure, Problem
from prunus.allocate.uniform import Uniform
from prunus.allocate.unreachable import fixed
from prunus.errors import BudgetError
from prunus.records import Groups, Kept, Scores
from prunus.units.tiles import Tiling

_PIECE = 2**16  # tiles that are ranked at a time, so that ranks take little memory

# -- blocks -----------------------------------------------------------------------------------


def blocks_of(groups: Groups, tilings: Mapping[str, Tiling]) -> Groups:
    """Return the groups with a block as a unit in place of a weight; others as they are."""
    return {
        name: replace(group, size=group.size // tilings[name].area) if name in tilings else group
        for name, group in groups.items()
    }


def scores_of_blocks(scores: Scores, tilings: Mapping[str, Tiling]) -> Scores:
    """Return as the score of each block the sum of those of its weights.

    Cost: The scores of one group at a time are in memory, 4 bytes per weight.
    """

    def stream(name: str) -> Iterator[Tensor]:
        yield tilings[name].tiles(scores[name]).sum(dim=1)

    return Scores(scores.criterion, stream)


def weights_of(kept: Mapping[str, Kept], tilings: Mapping[str, Tiling]) -> dict[str, Kept]:
    """Return which weights stay where these blocks do."""

    def spread(tiling: Tiling, mask_T: Tensor) -> Kept:
        return Kept.of(tiling.weights(mask_T[:, None].expand(-1, tiling.area)))

    return {name: spread(tilings[name], one.mask()) for name, one in kept.items()}


def measured_on_weights(measure: Measure, tilings: Mapping[str, Tiling]) -> Measure:
    """Return what measures a choice of blocks, by the weights that stay where they do."""
    return lambda kept: measure(weights_of(kept, tilings))


# -- slots ------------------------------------------------------------------------------------


def slots(
    problem: Problem, allocation: Allocator, tilings: Mapping[str, Tiling]
) -> dict[str, Kept]:
    """Keep the weights of highest score in each slot; of equal scores the first go first.

    The slots say how many stay. The budget is held against that and nothing more.

    Raises:
        BudgetError: More stays than the budget allows, or the allocation is not uniform.
    """
    if not isinstance(allocation, Uniform):
        raise BudgetError(
            f"{allocation!r} has nothing to decide",
            why="of every m weights n stay, in each group alike",
            hint="leave allocation out, or take allocation='uniform'",
        )
    counts = {
        name: group.size // tilings[name].area * _keep(tilings[name])
        for name, group in problem.free.items()
    }
    if problem.missed(counts):
        raise fixed(problem, counts)
    return {name: Kept.of(_highest(problem, name, tilings[name])) for name in counts}


def _highest(problem: Problem, name: str, tiling: Tiling) -> Tensor:
    """Return which weights of a group stay, bool (U,)."""
    score_U = torch.from_numpy(np.concatenate(list(problem.pieces(name))))
    score_TF = tiling.tiles(score_U)
    stays_TF = torch.ones(score_TF.shape, dtype=torch.bool)
    for start in range(0, len(score_TF), _PIECE):
        score, stays = (of[start : start + _PIECE] for of in (score_TF, stays_TF))
        lowest = score.argsort(dim=1, stable=True)[:, : tiling.area - _keep(tiling)]
        stays.scatter_(1, lowest, value=False)
    return tiling.weights(stays_TF)


def _keep(tiling: Tiling) -> int:
    assert tiling.keep is not None  # else it is a block
    return tiling.keep
