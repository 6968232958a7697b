"""Schedules by name, as long as the training that they go over."""

from collections.abc import Callable, Mapping

from prunus.errors import TrainError, unknown_name
from prunus.schedules.base import Schedule
from prunus.schedules.budgeted import BudgetedRetraining
from prunus.schedules.cubic import Cubic
from prunus.schedules.dynamic import Dynamic
from prunus.schedules.rewind import Rewind

_ROUNDS = 3  # of rewinding
_LEAST = 8  # steps: with fewer, rounds and exchanges fall on the same step


def _cubic(steps: int) -> Schedule:
    most = 3 * steps // 4
    return Cubic(steps=most, every=max(1, most // 10))


def _rewind(steps: int, what: str) -> Schedule:
    to = steps // 20
    length = (steps + _ROUNDS * to) // (_ROUNDS + 1)
    return Rewind(rounds=_ROUNDS, length=length, to=to, what=what)  # type: ignore[arg-type]


def _dynamic(steps: int, grow: str) -> Schedule:
    every = max(1, steps // 20)
    return Dynamic(steps=3 * steps // 4, every=every, grow=grow)  # type: ignore[arg-type]


_NAMED: Mapping[str, Callable[[int], Schedule]] = {
    "agp": _cubic,
    "budgeted": lambda steps: BudgetedRetraining(steps=steps),
    "lottery": lambda steps: _rewind(steps, "weights"),
    "rate-rewinding": lambda steps: _rewind(steps, "rate"),
    "rigl": lambda steps: _dynamic(steps, "gradient"),
    "set": lambda steps: _dynamic(steps, "random"),
}


def names() -> tuple[str, ...]:
    """Return the names that `scaled` knows."""
    return tuple(_NAMED)


def scaled(name: str, *, steps: int) -> Schedule:
    """Return the schedule of that name for a training of so many steps.

    "agp" takes three quarters of them along a cubic, in ten choices; "budgeted" cuts at once and
    lets the rate fall; "lottery" and "rate-rewinding" train four times, pruning in between, and
    go back to a twentieth; "rigl" and "set" exchange weights every twentieth, for three quarters.

    Raises:
        TrainError: There is none of that name, or there are too few steps for it.

    Example:
        >>> scaled("lottery", steps=100)
        Rewind(rounds=3, length=28, to=5, what='weights')
    """
    if name not in _NAMED:
        raise unknown_name("schedule", name, _NAMED, TrainError)
    if steps < _LEAST:
        raise TrainError(
            f"schedule '{name}' needs a training of {_LEAST} steps or more, not {steps}",
            hint="more epochs, or smaller batches",
        )
    return _NAMED[name](steps)
