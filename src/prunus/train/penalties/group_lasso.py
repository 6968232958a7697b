"""Group lasso: a unit moves towards zero as a whole, and arrives there as a whole."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from prunus.train.penalties.base import Parts, Penalty, norms_of


@dataclass(frozen=True, kw_only=True)
class GroupLasso(Penalty):
    """The sum over units of sqrt(size) * norm; its step is w -> w max(1 - a sqrt(size) / norm, 0).

    `a` is learning rate times strength, `size` how many numbers the unit owns, and `norm` the
    Euclidean norm of all of them: its slices in every parameter of the group, those in biases,
    norms and the layers that read it included. So a unit that carries little goes to zero in all
    the places from which a cut would remove it.

    Data: none beyond those of the training.

    Cost: two passes over the weights.

    Source: Yuan and Lin 2006; for networks Wen et al. 2016, arXiv:1608.03665; over coupled groups
    Fang et al. 2023, arXiv:2301.12900. Groups overlap where a weight joins two of them; the steps
    are taken in turn, which is the exact proximal step only where they do not.

    Example:
        >>> from prunus.train.penalties import Owned
        >>> weight = nn.Parameter(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
        >>> part = Owned(weight, along=(0, torch.tensor([[0], [1]])))
        >>> with torch.no_grad():
        ...     GroupLasso().shrink((part,), 1 / 2**0.5)
        >>> weight.detach()
        tensor([[2.4000, 3.2000],
                [0.0000, 0.0000]])
    """

    def size(self, parts: Parts) -> Tensor:
        """Return the sum of sqrt(size) * norm."""
        return norms_of(parts).sum() * _root_size(parts)

    def shrink(self, parts: Parts, amount: Tensor | float) -> None:
        """Soft-threshold the norm of every unit."""
        norm_U = norms_of(parts)
        tiny = torch.finfo(norm_U.dtype).tiny  # a norm of zero stays zero, whatever the factor
        factor_U = (1 - amount * _root_size(parts) / norm_U.clamp(min=tiny)).clamp(min=0)
        for part in parts:
            part.scale(factor_U)


def _root_size(parts: Parts) -> float:
    return math.sqrt(sum(part.size for part in parts))
