"""Gradual pruning along a cubic: fast while much can go, slow towards the end."""

from dataclasses import dataclass
from typing import final

from prunus.errors import TrainError
from prunus.schedules.base import Actions, Schedule, check


@final
@dataclass(frozen=True, kw_only=True)
class Cubic(Schedule):
    """The share that is gone grows as s_t = s_f + (s_i - s_f) (1 - (t - begin) / steps) ** 3.

    `s_f` is what the budget takes in the end and `s_i` is `initial`. Units are chosen every
    `every` steps, and at the last one.

    Source: Zhu and Gupta 2017, arXiv:1710.01878 (AGP); Gale et al. 2019, arXiv:1902.09574.
    Differs: what is gone stays gone; there, weights that are masked keep their value, and may
    come back.

    Attributes:
        steps: Of the optimizer from the first choice to the last.
        every: Steps from one choice to the next.
        begin: Step of the first.
        initial: Share that is gone at the first.

    Raises:
        TrainError: A number is out of its range.

    Example: half way to sparsity 0.8, 0.8 - 0.8 / 8 = 0.7 is gone:

        >>> round(Cubic(steps=100, every=10).share(50, final=0.2), 12)
        0.3
    """

    steps: int
    every: int = 1
    begin: int = 0
    initial: float = 0.0

    def __post_init__(self) -> None:
        check(self, steps=1, every=1, begin=0)
        if not 0 <= self.initial < 1:
            raise TrainError(
                f"Cubic(initial={self.initial}) means nothing",
                why="it is the share that is gone at first, at least 0 and below 1",
            )

    def at(self, step: int) -> Actions:
        """Choose every so often, and at the end."""
        since = step - self.begin
        due = 0 <= since <= self.steps and (since % self.every == 0 or since == self.steps)
        return Actions(choose=due)

    def share(self, step: int, *, final: float) -> float:
        """Return what the cubic leaves."""
        since = step - self.begin
        if since < 0:
            return 1.0
        if since >= self.steps:
            return final
        gone = 1 - final
        first = min(self.initial, gone)
        return 1 - (gone + (first - gone) * (1 - since / self.steps) ** 3)

    @property
    def last(self) -> int:
        """The step of the last choice."""
        return self.begin + self.steps
