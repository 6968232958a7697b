"""What a schedule is: how much is kept after each step of a training, and what happens there.

A schedule is data: it knows neither a model nor an optimizer. `prunus.Pruner` reads it step by
step and does what it says. Steps are those of the optimizer; step 0 is before the first.

Legend: T steps in all.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from prunus.errors import TrainError


@dataclass(frozen=True, kw_only=True)
class Regrow:
    """Let as many single weights come back as are dropped, in every tensor.

    Attributes:
        share: Of the weights at work, how many are dropped: those of the smallest magnitude.
        by: Which come back: those of the largest gradient, or any.
        seed: Of the choice by chance.
    """

    share: float
    by: Literal["gradient", "random"]
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Actions:
    """What happens after a step.

    Attributes:
        choose: Score the units anew and choose which of them stay.
        regrow: Exchange single weights.
        remember: Keep a copy of all weights and buffers.
        rewind: Go back to this step on the clock that the learning rate is taken from.
        restore: Put the remembered weights back; the state of the optimizer is dropped.
        rate: Multiply the optimizer's first learning rates by this for the steps that follow.
    """

    choose: bool = False
    regrow: Regrow | None = None
    remember: bool = False
    rewind: int | None = None
    restore: bool = False
    rate: float | None = None


class Schedule(ABC):
    """How a budget is approached over the steps of a training.

    To add one: a frozen dataclass in its own file with `at`, `share` and `last`.
    """

    single_weights: ClassVar[bool] = False
    """Whether it exchanges single weights, which needs granularity="weight" and a training."""

    @abstractmethod
    def at(self, step: int) -> Actions:
        """Return what happens after `step` steps of the optimizer."""

    @abstractmethod
    def share(self, step: int, *, final: float) -> float:
        """Return the share of the dense figure that is kept from `step` on.

        Args:
            step: At which units are chosen.
            final: The share that the budget leaves in the end, in (0, 1].

        Returns:
            Between `final` and 1, and never more than at an earlier step.
        """

    @property
    @abstractmethod
    def last(self) -> int:
        """The last step at which anything happens; the budget is met from then on."""

    @property
    def total(self) -> int:
        """The fewest steps of a training that goes by it to the end."""
        return self.last

    @property
    def horizon(self) -> int | None:
        """Steps that the learning rate is planned over, where not over the whole training."""
        return None

    @property
    def trains(self) -> bool:
        """Whether it means nothing without a training: it sets rates, goes back, or exchanges."""
        actions = [self.at(step) for step in range(self.last + 1)]
        moves = any(a.rewind is not None or a.rate is not None for a in actions)
        return self.single_weights or moves

    def choices(self) -> list[int]:
        """Return the steps at which units are chosen.

        Example:
            >>> from prunus.schedules import Iterative
            >>> Iterative(rounds=3, every=10).choices()
            [0, 10, 20]
        """
        return [step for step in range(self.last + 1) if self.at(step).choose]


def check(schedule: Schedule, **least: int) -> None:
    """Raise TrainError unless each of some settings is an int of at least so much."""
    for name, smallest in least.items():
        value = getattr(schedule, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
            raise TrainError(
                f"{type(schedule).__name__}({name}={value!r}) means nothing",
                why=f"{name} is a whole number of at least {smallest}",
            )


def check_choice(schedule: Schedule, name: str, known: tuple[str, ...]) -> None:
    """Raise TrainError unless a setting is one of some words."""
    value = getattr(schedule, name)
    if value not in known:
        raise TrainError(
            f"{type(schedule).__name__}({name}={value!r}) means nothing",
            why=f"{name} is one of {', '.join(known)}",
        )
