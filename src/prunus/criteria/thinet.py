"""ThiNet: remove the units that the next layer misses least, one after another."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.signals import CONTRIBUTION, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class Thinet(Criterion):
    """Turn in which a unit goes, if each time the one goes that the next layer misses least.

    With v[u] what unit u adds to the outputs of the weights that read it, at every place of the
    data, those outputs are off by ||sum of v[u] over the removed u|| ** 2. Starting from none,
    the unit goes that leaves this least; score[u] = its turn / U. Units that cancel each other
    go together; the last ones are those that the next layer cannot do without.

    Reads: `contribution_UF`, (U, F), whose rows have the dot products of v.

    Returns: float32, (U,), in (0, 1], without unit: the share of the group that is gone when the
        unit goes.

    Cost: One forward pass over the data; no labels. Per place that a layer is read, the square of
        the number of its inputs; then U ** 3 for the root of the dot products and
        U ** 2 for the turns. Exact where the original draws places and outputs by chance.

    Source: Luo et al., "ThiNet: A Filter Level Pruning Method for Deep Neural Network
        Compression", ICCV 2017, arXiv:1707.06342, section 3.2. Differs: all outputs and places
        count, through their dot products; every weight that reads the unit counts; what is
        left is not rescaled.

    Example:
        >>> from prunus.criteria import Thinet
        >>> from prunus.signals import CONTRIBUTION, group_of
        >>> v = torch.tensor([[3.0, 0.0], [0.0, 2.0], [0.1, -2.0]])  # the last two nearly cancel
        >>> Thinet()(group_of("conv", {CONTRIBUTION: v}))
        tensor([1.0000, 0.3333, 0.6667])
    """

    needs = frozenset({CONTRIBUTION})

    def score(self, group: GroupTensors) -> Tensor:
        row_UF = group.contribution_UF.double()
        own_U, with_removed_U = row_UF.square().sum(dim=1), torch.zeros_like(row_UF[:, 0])
        score_U = torch.zeros_like(own_U)
        for turn in range(1, group.num_units + 1):
            added_U = (own_U + 2 * with_removed_U).masked_fill(score_U > 0, torch.inf)
            goes = added_U.argmin()
            score_U[goes] = turn / group.num_units
            with_removed_U += row_UF @ row_UF[goes]
        return score_U
