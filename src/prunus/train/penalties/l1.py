"""L1: every weight moves towards zero by the same amount."""

from dataclasses import dataclass

from torch import Tensor

from prunus.train.penalties.base import Parts, Penalty, sum_over


@dataclass(frozen=True, kw_only=True)
class L1(Penalty):
    """The sum of |w| over all weights of the units; its step is w -> sign(w) max(|w| - a, 0).

    `a` is learning rate times strength. Makes weights exactly zero one by one, wherever they lie,
    so a channel empties only when all its weights do: at weight level it is the same as
    `GroupLasso`, at channel level the weaker of the two.

    Data: none beyond those of the training.

    Cost: one pass over the weights.

    Source: Tibshirani 1996; the step, ISTA, is Daubechies et al. 2004, arXiv:math/0307152.

    Example:
        >>> from prunus.train.penalties import Owned
        >>> part = Owned(nn.Parameter(torch.tensor([3.0, -0.5, -2.0])))
        >>> with torch.no_grad():
        ...     L1().shrink((part,), 1.0)
        >>> part.weight.tolist()
        [2.0, 0.0, -1.0]
    """

    def size(self, parts: Parts) -> Tensor:
        """Return the sum of |w|."""
        return sum_over(parts, Tensor.abs).sum()

    def shrink(self, parts: Parts, amount: Tensor | float) -> None:
        """Soft-threshold every weight."""
        for part in parts:
            part.soft_threshold(amount)
