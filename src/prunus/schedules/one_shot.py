"""All at once."""

from dataclasses import dataclass
from typing import final

from prunus.schedules.base import Actions, Schedule, check


@final
@dataclass(frozen=True, kw_only=True)
class OneShot(Schedule):
    """The whole budget is met at one step.

    With a penalty it is "regularise, then prune": the penalty works until the cut.

    Attributes:
        step: When; 0 is before the first step of the optimizer.

    Example:
        >>> OneShot(step=3).share(3, final=0.25)
        0.25
    """

    step: int = 0

    def __post_init__(self) -> None:
        check(self, step=0)

    def at(self, step: int) -> Actions:
        """Choose once."""
        return Actions(choose=step == self.step)

    def share(self, step: int, *, final: float) -> float:
        """Return all until the step, and what the budget leaves from then on."""
        return final if step >= self.step else 1.0

    @property
    def last(self) -> int:
        """The one step."""
        return self.step
