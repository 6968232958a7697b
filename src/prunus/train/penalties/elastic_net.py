"""Elastic net: towards zero by the same amount, and by the same fraction."""

from dataclasses import dataclass

import torch
from torch import Tensor

from prunus.errors import TrainError
from prunus.train.penalties.base import Parts, Penalty, sum_over


@dataclass(frozen=True, kw_only=True)
class ElasticNet(Penalty):
    """The sum of mix |w| + (1 - mix) w² / 2.

    Its step is w -> sign(w) max(|w| - a mix, 0) / (1 + a (1 - mix)), where `a` is learning rate
    times strength. L1 zeroes single weights, and of two that do the same keeps either; the square
    shrinks both alike, and large weights by more than small ones.

    Data: none beyond those of the training.

    Cost: two passes over the weights.

    Source: Zou and Hastie 2005. Differs: the two strengths are one and a share, as in
    scikit-learn's `l1_ratio`.

    Attributes:
        mix: The share of L1: 1 is `L1`, 0 is `L2`.

    Example:
        >>> from prunus.train.penalties import Owned
        >>> part = Owned(nn.Parameter(torch.tensor([3.0, -0.5, -2.0])))
        >>> with torch.no_grad():
        ...     ElasticNet(mix=0.5).shrink((part,), 2.0)
        >>> part.weight.tolist()
        [1.0, 0.0, -0.5]
    """

    mix: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.mix <= 1:
            raise TrainError(
                f"ElasticNet(mix={self.mix}) cannot be used", why="mix must be in [0, 1]"
            )

    def size(self, parts: Parts) -> Tensor:
        """Return the sum of mix |w| + (1 - mix) w² / 2."""
        absolute, square = sum_over(parts, Tensor.abs), sum_over(parts, torch.square)
        return (self.mix * absolute + (1 - self.mix) * square / 2).sum()

    def shrink(self, parts: Parts, amount: Tensor | float) -> None:
        """Soft-threshold every weight, then divide it."""
        for part in parts:
            part.soft_threshold(amount * self.mix)
            part.scale(1 / (1 + amount * (1 - self.mix)))
