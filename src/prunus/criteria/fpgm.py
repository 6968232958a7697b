"""FPGM: a unit that resembles the others can be replaced by them."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.errors import CriterionError
from prunus.signals import WEIGHT, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class FPGM(Criterion):
    """Sum of the distances from a unit's weights to those of all other units of its group.

    score[u] = sum over v of ||w[u] - w[v]||, w[u] all weights that unit u owns. The unit nearest
    to the geometric median scores lowest: the others are the most like it, whatever its size.

    Reads: `weight_UF`, (U, F).

    Returns: float32, (U,), >= 0, in units of a weight. It grows with the number of units and of
        weights that each owns: compare within a group.

    Cost: U ** 2 * F operations and 8 * U ** 2 + 16 * U * F bytes for one group; no data. Not for
        single weights.

    Source: He et al., "Filter Pruning via Geometric Median for Deep Convolutional Neural Networks
        Acceleration", CVPR 2019, arXiv:1811.00250. Differs: the distance is over every tensor
        coupled to the unit, not over one layer's filter. What a removed unit did is moved to its
        twin only where asked for: `prunus.recover(pruned, ["fold_twins"], data=data)`.

    Raises:
        CriterionError: Every weight is a unit.

    Example:
        >>> from prunus.criteria import FPGM
        >>> from prunus.signals import WEIGHT, group_of
        >>> FPGM()(group_of("fc", {WEIGHT: torch.tensor([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])}))
        tensor([15., 10., 15.])
    """

    needs = frozenset({WEIGHT})

    def score(self, group: GroupTensors) -> Tensor:
        if group.granularity == "weight":
            raise CriterionError(
                f"FPGM() cannot score the single weights of '{group.name}'",
                why="it compares the weights of whole units; each unit here has one",
                hint='use granularity="channel", or criterion="magnitude" for single weights',
            )
        weight_UF = torch.cat([member.weight_UF.double() for member in group.members], dim=1)
        distance_UU = torch.cdist(
            weight_UF, weight_UF, compute_mode="donot_use_mm_for_euclid_dist"
        )  # by products, near twins would come out far from 0
        return distance_UU.sum(dim=1)
