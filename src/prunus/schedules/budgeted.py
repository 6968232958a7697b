"""One cut, then as many steps of training as one can afford, at a rate that falls to zero."""

from dataclasses import dataclass
from typing import final

from prunus.errors import TrainError
from prunus.schedules.base import Actions, Schedule, check


@final
@dataclass(frozen=True, kw_only=True)
class BudgetedRetraining(Schedule):
    """The whole budget at once; then the learning rate falls linearly to zero over `steps`.

    Step i after the cut, counted from 0, has the rate peak (1 - i / steps) times that with which
    the optimizer came. However few steps there are, the rate goes through all its values; this
    beats a small constant rate, and keeps up with gradual schedules at equal cost.

    The Pruner sets the learning rate, so leave out any other schedule of it.

    Source: Li et al. 2019, arXiv:1905.04753 (budgeted training); Le and Hua 2021,
    arXiv:2105.03193 (Network Pruning That Matters); Zimmer et al. 2021, arXiv:2111.00843, after
    pruning. Differs: the start is given, not found.

    Attributes:
        steps: Of the optimizer after the cut.
        begin: Step of the cut.
        peak: By which the optimizer's learning rate is multiplied at first.

    Raises:
        TrainError: A number is out of its range.

    Example:
        >>> [BudgetedRetraining(steps=4).at(step).rate for step in range(5)]
        [1.0, 0.75, 0.5, 0.25, None]
    """

    steps: int
    begin: int = 0
    peak: float = 1.0

    def __post_init__(self) -> None:
        check(self, steps=1, begin=0)
        if not self.peak > 0:
            raise TrainError(
                f"BudgetedRetraining(peak={self.peak}) means nothing", why="it must be above 0"
            )

    def at(self, step: int) -> Actions:
        """Cut once; set the rate of every step from then on."""
        since = step - self.begin
        if not 0 <= since < self.steps:
            return Actions()
        return Actions(choose=since == 0, rate=self.peak * (1 - since / self.steps))

    def share(self, step: int, *, final: float) -> float:
        """Return all until the cut, and what the budget leaves from then on."""
        return final if step >= self.begin else 1.0

    @property
    def last(self) -> int:
        """The last step that a rate is set for."""
        return self.begin + self.steps - 1

    @property
    def total(self) -> int:
        """Steps until the rate is zero."""
        return self.begin + self.steps
