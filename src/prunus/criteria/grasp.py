"""GraSP: keep the weights without which the gradient would be smaller."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.signals import HESSIAN_GRADIENT, WEIGHT, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class GRASP(Criterion):
    """How much half the squared norm of the gradient falls, to first order, without a unit.

    score[u] = sum of w * (H g) over all that unit u owns; g is the gradient and H the Hessian of
    the mean loss over the data. What scores lowest goes: without it the gradient grows, and with
    it the speed at which training lowers the loss. Made for networks that are not trained yet; a
    trained one has a small gradient, and then this says little. Signs matter: |score| would keep
    what the paper removes first.

    Reads: `weight_UF` and `hessian_grad_UF`, (U, F).

    Returns: float32, (U,), of either sign, in units of (loss per weight) ** 2.

    Cost: Two forward and backward passes over the data and a backward pass through the gradient,
        of twice the time and memory. 8 bytes per weight, and three gradients for a while.

    Source: Wang et al., "Picking Winning Tickets Before Training by Preserving Gradient Flow",
        ICLR 2020, arXiv:2002.07376. Differs: the paper's score is -w * (H g) and its highest go,
        which is the same choice; the loss is the one given, the paper divides the logits by 200
        first; channels sum what their weights score.

    Example:
        >>> from prunus.criteria import GRASP
        >>> from prunus.signals import HESSIAN_GRADIENT, WEIGHT, group_of
        >>> w, hg = torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([[1.0, -2.0], [2.0, 5.0]])
        >>> GRASP()(group_of("fc", {WEIGHT: w, HESSIAN_GRADIENT: hg}))
        tensor([-3.,  6.])
    """

    needs = frozenset({WEIGHT, HESSIAN_GRADIENT})
    elementwise = True

    def score(self, group: GroupTensors) -> Tensor:
        per_member_U = [(m.weight_UF * m.hessian_grad_UF).sum(dim=1) for m in group.members]
        return torch.stack(per_member_U).sum(dim=0)
