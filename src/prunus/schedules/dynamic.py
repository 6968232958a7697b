"""Sparse from the start, with weights that are exchanged while the model trains: RigL and SET."""

from dataclasses import dataclass
from math import cos, pi
from typing import ClassVar, Literal, final

from prunus.errors import TrainError
from prunus.schedules.base import Actions, Regrow, Schedule, check, check_choice


@final
@dataclass(frozen=True, kw_only=True)
class Dynamic(Schedule):
    """The budget is met before the first step; then every tensor exchanges some of its weights.

    Every `every` steps, until `steps`, a share of the weights at work is dropped, those of the
    smallest magnitude, and as many others start at zero: those of the largest gradient (RigL) or
    any (SET). The share falls as alpha / 2 (1 + cos(pi t / steps)). So the number of weights at
    work is the same throughout, in every tensor. What grows starts without momentum.

    Take `steps` as about three quarters of the training. The first weights are chosen by the
    criterion: "random" with the allocation "erk", as in the paper, or any other. With dense
    kernels nothing becomes faster or smaller while training.

    Only for granularity="weight". `pruner.step()` reads the gradients, so call it before
    `zero_grad()`.

    Source: Evci et al. 2020, arXiv:1911.11134 (RigL); Mocanu et al. 2018, arXiv:1707.04780 (SET).

    Attributes:
        steps: Of the optimizer, until which weights are exchanged.
        every: Steps from one exchange to the next.
        alpha: Share that is exchanged at first.
        grow: "gradient" or "random".
        seed: Of growing at random.

    Raises:
        TrainError: A number is out of its range.

    Example: at first 0.3, half way 0.15, at the end nothing:

        >>> schedule = Dynamic(steps=1000, every=500)
        >>> schedule.at(500).regrow.share
        0.15
        >>> schedule.share(0, final=0.1)
        0.1
    """

    steps: int
    every: int = 100
    alpha: float = 0.3
    grow: Literal["gradient", "random"] = "gradient"
    seed: int = 0

    single_weights: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check(self, steps=1, every=1, seed=0)
        check_choice(self, "grow", ("gradient", "random"))
        if not 0 < self.alpha <= 1:
            raise TrainError(
                f"Dynamic(alpha={self.alpha}) means nothing",
                why="it is the share of weights that is exchanged, above 0 and at most 1",
            )

    def at(self, step: int) -> Actions:
        """Choose at the start, then exchange every so often."""
        if step == 0 or step % self.every or step >= self.steps:
            return Actions(choose=step == 0)
        share = self.alpha / 2 * (1 + cos(pi * step / self.steps))
        return Actions(regrow=Regrow(share=round(share, 12), by=self.grow, seed=self.seed + step))

    def share(self, step: int, *, final: float) -> float:
        """Return what the budget leaves: it is met throughout."""
        return final

    @property
    def last(self) -> int:
        """The step of the last exchange."""
        return (self.steps - 1) // self.every * self.every
