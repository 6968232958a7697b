"""Fisher: the curvature of the loss, from the gradients of single items."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.signals import SAMPLE_GRADIENT_SQUARE, WEIGHT, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class Fisher(Criterion):
    """Second-order change of the loss when a unit is zeroed, with the diagonal Fisher matrix.

    score[u] = 1/2 * sum of w ** 2 * F over all that unit u owns, F = mean over items of g ** 2, g
    the gradient of the loss of one item. F stands for the diagonal of the Hessian where the loss
    is a log-likelihood and the model fits the data. Items are taken one by one: the square of a
    batch's mean gradient is another number, smaller and dependent on the batch size.

    Reads: `weight_UF` and `sample_grad_square_UF`, (U, F).

    Returns: float32, (U,), >= 0, in units of loss where it is a log-likelihood.

    Cost: One forward and backward pass per item, several times slower than batches: a few hundred
        items will do, see `batches`. 4 bytes per weight. Not shared with criteria that read the
        gradients of batches.

    Source: Theis et al., "Faster gaze prediction with dense networks and Fisher pruning", 2018,
        arXiv:1801.05787. Differs: the empirical Fisher matrix of the given targets; a channel
        sums what its weights score, not the gradients of a mask.

    Example:
        >>> from prunus.criteria import Fisher
        >>> from prunus.signals import SAMPLE_GRADIENT_SQUARE, WEIGHT, group_of
        >>> w, f = torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([[2.0, 1.0], [2.0, 5.0]])
        >>> Fisher()(group_of("fc", {WEIGHT: w, SAMPLE_GRADIENT_SQUARE: f}))
        tensor([3., 9.])
    """

    needs = frozenset({WEIGHT, SAMPLE_GRADIENT_SQUARE})
    elementwise = True

    def score(self, group: GroupTensors) -> Tensor:
        per_member_U = [
            (member.weight_UF.square() * member.sample_grad_square_UF).sum(dim=1)
            for member in group.members
        ]
        return torch.stack(per_member_U).sum(dim=0) / 2
