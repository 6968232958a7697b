"""LAMP: magnitude that can be compared between layers."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.signals import WEIGHT, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class LAMP(Criterion):
    """Squared magnitude of a unit over that of all units of its group that are no smaller.

    score[u] = m[u] / (sum of m[v] over all v with m[v] >= m[u]), m[u] = sum of w ** 2 over all
    that unit u owns. Within a group the order is that of `Magnitude`. Unless it is all zero or
    ends in a tie, the largest unit of each group scores 1, so that a global ranking removes no
    whole layer before it has to.

    Reads: `weight_UF`, (U, F).

    Returns: float32, (U,), in [0, 1], without unit; made to be compared between groups.

    Cost: One read of the weights and one sort of each group; no data. About 80 bytes per unit
        of the largest group, also where every weight is a unit.

    Source: Lee et al., "Layer-Adaptive Sparsity for the Magnitude-based Pruning", ICLR 2021,
        arXiv:2010.07611. Differs: equal units score alike; sums are in float64 and of positive
        terms (the original subtracts float32 sums, which cancel); units may be channels, for which
        the paper makes no claim.

    Example:
        >>> from prunus.criteria import LAMP
        >>> from prunus.signals import WEIGHT, group_of
        >>> LAMP()(group_of("fc", {WEIGHT: torch.tensor([[1.0], [-2.0], [2.0]])}))
        tensor([0.1111, 0.5000, 0.5000])
    """

    needs = frozenset({WEIGHT})

    def score(self, group: GroupTensors) -> Tensor:
        per_member_U = [m.weight_UF.double().square().sum(dim=1) for m in group.members]
        square_U = torch.stack(per_member_U).sum(dim=0)
        descending_U = square_U.sort(descending=True).values
        no_smaller_U = torch.searchsorted(-descending_U, -square_U, right=True)
        sum_U = descending_U.cumsum(dim=0)[no_smaller_U - 1]
        return square_U / sum_U.clamp(min=torch.finfo(torch.float64).tiny)
