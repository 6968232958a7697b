"""Taylor: how much the loss changes, to first order, when a unit is set to zero."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.signals import GRADIENT_PRODUCT, GRADIENT_SQUARE, WEIGHT, GroupTensors, Signal


@final
@dataclass(frozen=True, kw_only=True)
class Taylor(Criterion):
    """Squared first-order change of the loss when all weights of a unit are set to zero.

    score[u] = mean over batches of (sum of g * w over the weights that read unit u) ** 2: these
    carry the whole change, and each once. With `joint=False` each product is squared before the
    sum, so that opposite signs cannot cancel: score[u] = sum of w ** 2 * mean over batches of
    g ** 2 over all that unit u owns. For single weights the two are the same.

    Args:
        joint: Square the sum (True) or sum the squares (False).

    Reads: `product_square_U`, (U,), where joint; else `weight_UF` and `grad_square_UF`, (U, F).

    Returns: float32, (U,), >= 0, in units of loss ** 2. Not comparable between losses.

    Cost: One forward and backward pass over the data, shared with all criteria that read
        gradients; 4 bytes per unit where joint, else 4 bytes per weight. Batches of one item give
        the per-sample mean, larger ones average gradients first.

    Source: Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019,
        arXiv:1906.10771, section 3.1. Differs: the sum is over the weights that read the unit,
        not over the filter that makes it, which repeats the same change for each layer in series;
        where nothing reads it, over all that it owns. The mean is over one pass through fixed
        weights, not over training steps.

    Example:
        >>> from prunus.criteria import Taylor
        >>> from prunus.signals import GRADIENT_PRODUCT, GRADIENT_SQUARE, WEIGHT, group_of
        >>> w, g = torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([[1.0, -0.5], [2.0, 5.0]])
        >>> joint = group_of("fc", {GRADIENT_PRODUCT: (w * g).sum(dim=1) ** 2})
        >>> separate = group_of("fc", {WEIGHT: w, GRADIENT_SQUARE: g**2})
        >>> Taylor()(joint), Taylor(joint=False)(separate)
        (tensor([ 0., 36.]), tensor([ 2., 36.]))
    """

    joint: bool = True

    elementwise = True

    @property
    def needs(self) -> frozenset[Signal]:
        return frozenset({GRADIENT_PRODUCT} if self.joint else {WEIGHT, GRADIENT_SQUARE})

    def score(self, group: GroupTensors) -> Tensor:
        if self.joint:
            return group.product_square_U.clone()
        per_member_U = [(m.weight_UF.square() * m.grad_square_UF).sum(dim=1) for m in group.members]
        return torch.stack(per_member_U).sum(dim=0)
