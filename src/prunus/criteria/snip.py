"""SNIP: how sensitive the loss is to scaling a weight."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.signals import GRADIENT, WEIGHT, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class SNIP(Criterion):
    """Sum of |g * w| over all weights that a unit owns.

    score[u] = sum of |g * w| over all that unit u owns, g the gradient of the mean loss over the
    data: how fast the loss changes when the weight is scaled. It differs from
    `Taylor(joint=False)` in that batches are averaged before the product loses its sign.

    Reads: `weight_UF` and `grad_UF`, (U, F).

    Returns: float32, (U,), >= 0, in units of loss. Comparable between groups, not between losses.

    Cost: One forward and backward pass over the data, shared with all criteria that read
        gradients, and 4 bytes per weight.

    Source: Lee et al., "SNIP: Single-shot Network Pruning based on Connection Sensitivity",
        ICLR 2019, arXiv:1810.02340. Differs: not divided by the sum over the network, which
        changes no order; the model may be trained, which the paper's is not; channels sum what
        their weights score.

    Example:
        >>> from prunus.criteria import SNIP
        >>> from prunus.signals import GRADIENT, WEIGHT, group_of
        >>> w, g = torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([[1.0, -0.5], [2.0, 5.0]])
        >>> SNIP()(group_of("fc", {WEIGHT: w, GRADIENT: g}))
        tensor([2., 6.])
    """

    needs = frozenset({WEIGHT, GRADIENT})
    elementwise = True

    def score(self, group: GroupTensors) -> Tensor:
        per_member_U = [(m.weight_UF * m.grad_UF).abs().sum(dim=1) for m in group.members]
        return torch.stack(per_member_U).sum(dim=0)
