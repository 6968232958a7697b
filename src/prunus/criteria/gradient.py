"""Gradient: weights that the loss pulls at matter."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.signals import GRADIENT, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class Gradient(Criterion):
    """Sum of the absolute gradients of all weights that a unit owns.

    score[u] = sum of |g| over all that unit u owns, g the gradient of the mean loss over the data.
    A baseline more than a recommendation: a trained network has small, noisy gradients, and a
    large weight may have none. `Taylor` weighs each gradient by the weight that would go.

    Reads: `grad_UF`, (U, F).

    Returns: float32, (U,), >= 0, in units of loss per weight. Not comparable between losses.

    Cost: One forward and backward pass over the data, shared with all criteria that read
        gradients, and 4 bytes per weight.

    Source: A common baseline. Differs from the gradient magnitude of Blalock et al., "What is the
        State of Neural Network Pruning?", MLSys 2020, arXiv:2003.03033, which is |g * w|.

    Example:
        >>> from prunus.criteria import Gradient
        >>> from prunus.signals import GRADIENT, group_of
        >>> fc = group_of("fc", {GRADIENT: torch.tensor([[1.0, -2.0], [0.0, 0.5]])})
        >>> Gradient()(fc)
        tensor([3.0000, 0.5000])
    """

    needs = frozenset({GRADIENT})
    elementwise = True

    def score(self, group: GroupTensors) -> Tensor:
        per_member_U = [member.grad_UF.abs().sum(dim=1) for member in group.members]
        return torch.stack(per_member_U).sum(dim=0)
