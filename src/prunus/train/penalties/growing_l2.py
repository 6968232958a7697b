"""Growing L2: the pull grows until those who do not matter are gone."""

import math
from abc import ABC
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from prunus.errors import TrainError
from prunus.train.penalties.base import Parts, Penalty, sum_over


@dataclass(frozen=True, kw_only=True)
class GrowingL2(Penalty, ABC):
    """Half the sum of squares, at a strength that rises in equal steps over the training.

    Attributes:
        strength: What it rises to.
        raises: In how many steps.
    """

    strength: float = 1.0
    raises: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.raises < 1:
            raise TrainError(
                f"{type(self).__name__}(raises={self.raises}) cannot be used",
                why="raises must be 1 or more",
            )

    def at(self, progress: float) -> Self:
        """Return the penalty with the strength that it has after so much of the training."""
        raised = min(math.floor(progress * self.raises) + 1, self.raises)
        return replace(self, strength=self.strength * raised / self.raises)

    def size(self, parts: Parts) -> Tensor:
        """Return half the sum of squares."""
        return sum_over(parts, torch.square).sum() / 2

    def shrink(self, parts: Parts, amount: Tensor | float) -> None:
        """Divide what the units own by 1 + amount."""
        for part in parts:
            part.scale(1 / (1 + amount))


@dataclass(frozen=True, kw_only=True)
class GReg1(GrowingL2):
    """Half the sum of squares of the doomed units, stronger and stronger; step w -> w / (1 + a).

    `a` is learning rate times the strength of the moment. Who is doomed is known at the start, and
    only they are pulled: so slowly at first that the others take over what they did.

    Data: none beyond those of the training.

    Cost: one pass over the weights.

    Source: Wang et al. 2021, GReg-1, arXiv:2012.09243. Differs: the strength rises evenly over the
    training, whatever its length, instead of by 1e-4 every 5 or 10 steps; and the controller
    chooses the doomed anew at its checks, and turns the strength besides.

    Example:
        >>> penalty = GReg1(strength=1.0, raises=4)
        >>> [penalty.at(progress).strength for progress in (0.0, 0.3, 0.6, 1.0)]
        [0.25, 0.5, 0.75, 1.0]
    """


@dataclass(frozen=True, kw_only=True)
class GReg2(GrowingL2):
    """As `GReg1`, but at first all units are pulled alike, and the doomed are chosen afterwards.

    Under the same pull those units shrink least whose loss rises most steeply: half the sum of
    squares makes what the Hessian knows show in the weights, w_i = w_i* h_i / (h_i + strength)
    where it is diagonal. So a choice by magnitude comes near to one by second order.

    Data: none beyond those of the training.

    Cost: one pass over the weights.

    Source: Wang et al. 2021, GReg-2, arXiv:2012.09243. Differs: as `GReg1`; the first part ends
    after a share of the training, instead of at a strength of 0.01.

    Attributes:
        alike: For which share of the training all units are pulled: a short one, as those that
            will be kept shrink too. Measure batch norms anew afterwards.

    Example:
        >>> penalty = GReg2(alike=0.3)
        >>> penalty.spare(0.2), penalty.spare(0.4)
        (1.0, 0.0)
    """

    alike: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.alike <= 1:
            raise TrainError(
                f"GReg2(alike={self.alike}) cannot be used", why="alike must be in [0, 1]"
            )

    def spare(self, progress: float) -> float:
        """Return 1 while all units are pulled alike, then 0."""
        return 1.0 if progress < self.alike else 0.0
