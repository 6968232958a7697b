"""L2: every weight shrinks by the same fraction."""

from dataclasses import dataclass

import torch
from torch import Tensor

from prunus.train.penalties.base import Parts, Penalty, sum_over


@dataclass(frozen=True, kw_only=True)
class L2(Penalty):
    """Half the sum of squares over all weights of the units; its step is w -> w / (1 + a).

    `a` is learning rate times strength. No weight becomes zero, and all shrink alike: what tells
    units apart is how far the loss pulls each one back, so the doomed units may keep more than
    under the other penalties.

    Data: none beyond those of the training.

    Cost: one pass over the weights.

    Source: Krogh and Hertz 1991; as pruning by a growing L2, Wang et al. 2021, arXiv:2012.09243,
    which differs: there the factor grows on the doomed weights alone.

    Example:
        >>> from prunus.train.penalties import Owned
        >>> part = Owned(nn.Parameter(torch.tensor([3.0, -1.0])))
        >>> with torch.no_grad():
        ...     L2().shrink((part,), 1.0)
        >>> part.weight.tolist()
        [1.5, -0.5]
    """

    def size(self, parts: Parts) -> Tensor:
        """Return half the sum of squares."""
        return sum_over(parts, torch.square).sum() / 2

    def shrink(self, parts: Parts, amount: Tensor | float) -> None:
        """Divide what the units own by 1 + amount."""
        for part in parts:
            part.scale(1 / (1 + amount))
