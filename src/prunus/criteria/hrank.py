"""HRank: a unit whose maps are of low rank carries little."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.signals import RANK, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class HRank(Criterion):
    """Mean rank of the feature map of a unit.

    score[u] = mean over items of the rank of the H x W matrix that unit u is for an item, where
    the next operator that is neither norm nor function reads it. Slow, and no better than
    chance in PruningBench (arXiv:2406.12315): here to be compared with, not to be recommended.

    Reads: `rank_U`, (U,).

    Returns: float32, (U,), in [0, min(H, W)], without unit. It grows with the size of the maps:
        compare within a group.

    Cost: One forward pass over the data and a singular value decomposition of each map of each
        item, items * U * H * W * min(H, W) operations; no labels. Minutes where others take
        seconds; a few hundred items do.

    Source: Lin et al., "HRank: Filter Pruning using High-Rank Feature Map", CVPR 2020,
        arXiv:2002.10179. Differs: all layers in one pass, and a unit that several layers add to
        has the mean over the places where it is read.

    Example:
        >>> from prunus.criteria import HRank
        >>> from prunus.signals import RANK, group_of
        >>> HRank()(group_of("conv", {RANK: torch.tensor([3.5, 1.0])}))
        tensor([3.5000, 1.0000])
    """

    needs = frozenset({RANK})
    elementwise = True

    def score(self, group: GroupTensors) -> Tensor:
        return group.rank_U.clone()
