"""Group sparse learning: the smaller a coupled unit is, the harder it is pulled."""

from dataclasses import dataclass

import torch
from torch import Tensor

from prunus.errors import TrainError
from prunus.train.penalties.base import Parts, Penalty, sum_over


@dataclass(frozen=True, kw_only=True)
class GroupSparse(Penalty):
    """Half the sum over units of gamma * norm²; its step is w -> w / (1 + a gamma).

    `a` is learning rate times strength. The norm is over all that a unit owns, in every layer:
    what makes it, its norm, and what reads it. gamma = 2 ** (contrast (top - norm²) / (top -
    bottom)), where top and bottom are the largest and the smallest norm² of the group: 1 for the
    largest unit, 16 for the smallest. So what is small becomes smaller in all places at once, and
    what is large is hardly touched. gamma is held during a step, which is proximal for it.

    Data: none beyond those of the training.

    Cost: two passes over the weights.

    Source: Fang et al. 2023, DepGraph, arXiv:2301.12900, equations 4 and 5. Differs: a step after
    the optimizer's, instead of a term of the gradient; half of the square.

    Attributes:
        contrast: The smallest unit is pulled 2 ** contrast times as hard as the largest.

    Example:
        >>> from prunus.train.penalties import Owned
        >>> weight = nn.Parameter(torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
        >>> part = Owned(weight, along=(0, torch.tensor([[0], [1]])))
        >>> with torch.no_grad():
        ...     GroupSparse(contrast=2.0).shrink((part,), 1.0)
        >>> weight.detach()
        tensor([[1.5000, 2.0000],
                [0.0000, 0.2000]])
    """

    contrast: float = 4.0
    proximal = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.contrast <= 64:
            raise TrainError(
                f"GroupSparse(contrast={self.contrast}) cannot be used",
                why="contrast must be in [0, 64]",
            )

    def size(self, parts: Parts) -> Tensor:
        """Return half the sum of gamma * norm²."""
        square_U = sum_over(parts, torch.square)
        return (self._gamma(square_U.detach()) * square_U).sum() / 2

    def shrink(self, parts: Parts, amount: Tensor | float) -> None:
        """Divide what each unit owns by 1 + amount * gamma."""
        factor_U = 1 / (1 + amount * self._gamma(sum_over(parts, torch.square)))
        for part in parts:
            part.scale(factor_U)

    def _gamma(self, square_U: Tensor) -> Tensor:
        top, bottom = square_U.max(), square_U.min()
        tiny = torch.finfo(square_U.dtype).tiny  # units of one norm are pulled alike
        return torch.exp2(self.contrast * (top - square_U) / (top - bottom).clamp(min=tiny))
