"""Magnitude: small weights matter little."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.errors import CriterionError
from prunus.signals import WEIGHT, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class Magnitude(Criterion):
    """Lp norm of all weights that a unit owns.

    score[u] = (sum of |w| ** p over all that unit u owns) ** (1 / p); for single weights |w|.

    Args:
        p: Which norm: 2, 1, any other positive number, or inf for the largest |w|.

    Reads: `weight_UF`, (U, F).

    Returns: float32, (U,), >= 0, in units of a weight. It grows with the number of weights that a
        unit owns, and rescaling layers without changing the network changes it: compare within a
        group, or normalise before comparing groups.

    Cost: One read of the weights; no data.

    Source: Han et al., "Learning both Weights and Connections for Efficient Neural Networks",
        NeurIPS 2015, arXiv:1506.02626 (single weights); Li et al., "Pruning Filters for Efficient
        ConvNets", ICLR 2017, arXiv:1608.08710 (filters, p = 1). Differs: the norm is over every
        tensor coupled to the unit, not over one layer's filter.

    Example:
        >>> from prunus.criteria import Magnitude
        >>> from prunus.signals import WEIGHT, group_of
        >>> fc = group_of("fc", {WEIGHT: torch.tensor([[3.0, -4.0]])})
        >>> Magnitude()(fc), Magnitude(p=1)(fc), Magnitude(p=float("inf"))(fc)
        (tensor([5.]), tensor([7.]), tensor([4.]))
    """

    p: float = 2

    needs = frozenset({WEIGHT})
    elementwise = True

    def __post_init__(self) -> None:
        if not self.p > 0:
            raise CriterionError(f"Magnitude(p={self.p}) is no norm", hint="use p=1, p=2 or p=inf")

    def score(self, group: GroupTensors) -> Tensor:
        norm = torch.linalg.vector_norm
        per_member_U = [norm(member.weight_UF, ord=self.p, dim=1) for member in group.members]
        score_U: Tensor = norm(torch.stack(per_member_U), ord=self.p, dim=0)
        return score_U
