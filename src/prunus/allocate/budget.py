"""What the result may cost.

Budget(macs=0.5)                      half of the MACs
Budget(bytes="12 MB", min_units=8)    at most 12 MB, and no group below 8 units
Budget(sparsity=0.9)                  90 % of all parameters are zero
Budget(latency="8 ms")                one forward pass in 8 ms, by a measured table
"""

import re
from dataclasses import dataclass, fields
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import TypeAlias

from prunus.errors import BudgetError

Amount: TypeAlias = float | int | str

_TARGETS = ("params", "macs", "bytes", "latency", "units", "sparsity")
_NUMBER = re.compile(r"((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)\s*([a-z]*)", re.IGNORECASE)
_COUNT_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
_TIME_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
_BYTE_UNITS = {
    "": 1,
    "b": 1,
    **{prefix + end: _COUNT_UNITS[prefix] for prefix in "kmgt" for end in ("", "b")},
    **{prefix + "ib": 2 ** (10 * power) for power, prefix in enumerate("kmgt", start=1)},
}

_MEANING = (
    "a float is the fraction that is kept, above 0 and at most 1; "
    "an int or text with a unit is an absolute number of at least 1",
    '{target}=0.5 or {target}="1.5 M"',
)
_MEANINGS = {  # of those that are not like the others
    "latency": (
        "a float is the fraction that is kept, above 0 and at most 1; a time is text with its unit",
        'latency=0.5 or latency="8 ms"',
    ),
    "sparsity": (
        "it is the fraction of all parameters that is zero, a float above 0 and below 1",
        "sparsity=0.9",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What the pruned model may cost. All targets that are given hold together.

    A float is the fraction of the dense figure that is kept, an int an absolute number, and text
    with a unit an absolute number as well: "1.5 G", "500k", "12 MB", "12 MiB", "8 ms". Text without
    a unit means what the number means.

    The fields are plain: `dataclasses.asdict(budget)` is JSON, and `Budget(**data)` reads it.

    Args:
        params: Parameters that remain; where weights are zeroed, those that are not zero.
        macs: Multiply-adds of one forward pass at the example inputs.
        bytes: Of all parameters and buffers that a file stores.
        latency: Time of one forward pass at the example inputs, by a table of measured layers; a
            fraction, or text with a unit of time. Only where units are removed.
        units: Units that remain in the groups that may lose any.
        sparsity: Fraction of all parameters that is zero, below 1. Only where weights are zeroed.
        min_units: No group falls below so many units. A smaller group is left whole.
        multiple_of: The number of units that a group keeps is a multiple of this, or all of them.

    Raises:
        BudgetError: There is no target, or a value means nothing.

    Example:
        >>> budget = Budget(macs="1.5 G", min_units=8)
        >>> str(budget), budget.limit("macs", dense=4_110_000_000)
        ('macs=1.5 G, min_units=8', 1500000000)
        >>> Budget(params=0.29).limit("params", dense=100)
        29
    """

    params: Amount | None = None
    macs: Amount | None = None
    bytes: Amount | None = None
    latency: Amount | None = None
    units: Amount | None = None
    sparsity: Amount | None = None
    min_units: int = 1
    multiple_of: int = 1

    def __post_init__(self) -> None:
        if not self.targets:
            raise BudgetError(
                "the budget has no target",
                why=f"one of {', '.join(_TARGETS)} must be given",
                hint="prunus.Budget(macs=0.5) keeps half of the MACs",
            )
        for target in self.targets:
            _amount(target, getattr(self, target))
        for name in ("min_units", "multiple_of"):
            if not _is_count(getattr(self, name)):
                raise BudgetError(
                    f"{name}={getattr(self, name)!r} means nothing",
                    why="it is a number of units, an int of at least 1",
                    hint=f"{name}=8",
                )

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the figures that are limited."""
        return tuple(name for name in _TARGETS if getattr(self, name) is not None)

    @property
    def given(self) -> tuple[str, ...]:
        """Names of all fields that are not at their default."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) != f.default)

    def relative(self, target: str) -> bool:
        """Return whether `target` is a fraction of the dense figure."""
        return isinstance(_amount(target, getattr(self, target)), float)

    def limit(self, target: str, *, dense: int) -> int:
        """Return the most that the model may have of `target`, where the dense one has `dense`.

        For sparsity: the most parameters that are not zero. Latency is in nanoseconds. A fraction
        is taken as the decimal that was typed, so that 0.29 of 100 is 29.
        """
        amount = _amount(target, getattr(self, target))
        if isinstance(amount, int):
            return amount
        share = Fraction(str(float(amount)))
        return floor((1 - share if target == "sparsity" else share) * dense)

    def __str__(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)}" for name in self.given)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _amount(target: str, given: Amount) -> float | int:
    """Return a fraction as a float, an absolute number as an int; raise for anything else."""
    value = _parsed(target, given) if isinstance(given, str) else given
    if isinstance(value, float) and 0 < value <= 1 and (target, value) != ("sparsity", 1):
        return value
    has_unit = isinstance(given, str) and target == "latency"
    if _is_count(value) and (target not in _MEANINGS or has_unit):
        return value
    why, hint = _MEANINGS.get(target, _MEANING)
    if isinstance(value, float) and value.is_integer() and value > 1 and target not in _MEANINGS:
        hint = f"{target}={value:.0f}"
    raise BudgetError(f"{target}={given!r} means nothing", why=why, hint=hint.format(target=target))


def _parsed(target: str, text: str) -> float | int:
    """Return the number that `text` stands for; 0, which no budget accepts, where it is none."""
    units = {"bytes": _BYTE_UNITS, "latency": _TIME_UNITS}.get(target, _COUNT_UNITS)
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return 0
    number, unit = match[1].casefold(), match[2].casefold()
    if not unit and not number.isdecimal():
        return float(number)
    return int(Decimal(number) * units.get(unit, 0))
