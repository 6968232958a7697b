"""Which budgets mean nothing at a granularity, and what to say instead."""

from collections.abc import Mapping
from typing import TypeAlias

from prunus import units
from prunus.allocate.budget import Budget
from prunus.errors import BudgetError

Refused: TypeAlias = Mapping[str, tuple[str, str]]  # field of a budget -> why, hint

_CHANNELS = "ask for params=0.5 or sparsity=0.5, or remove channels: granularity='channel'"
_ZEROED: Refused = {
    "macs": ("zeros in a dense tensor cost the same as other numbers", _CHANNELS),
    "bytes": ("zeros in a dense tensor take the same space as other numbers", _CHANNELS),
    "latency": ("zeros in a dense tensor take the same time as other numbers", _CHANNELS),
    "multiple_of": ("weights are zeroed, so no width changes", "leave multiple_of out"),
}
_NOT_ZEROED = (
    "units are removed, not zeroed",
    "ask for params=, macs=, bytes=, latency= or units=: the fraction that is kept",
)
_NOT_IN_TABLE = (
    "layers that become one are others than those that are measured",
    "ask for macs=0.5, or remove channels: granularity='channel'",
)
_IN_CHANNELS = (
    "a function costs the same as long as one of its channels bends",
    "ask for units=0.5: the fraction of channels that still bend; or granularity='activation', "
    "where functions go whole",
)


def check_meaning(budget: Budget, granularity: str) -> None:
    """Raise BudgetError where a field of a budget has no meaning at a granularity.

    Example:
        >>> check_meaning(Budget(macs=0.5), "weight")
        Traceback (most recent call last):
        prunus.errors.BudgetError: macs=0.5 has no meaning at granularity weight...
    """
    refused = _refused(granularity)
    for name in budget.given:
        if name in refused:
            why, hint = refused[name]
            raise BudgetError(
                f"{name}={getattr(budget, name)} has no meaning at granularity {granularity}",
                why=why,
                hint=hint,
            )


def _refused(granularity: str) -> Refused:
    if units.zeroes(granularity):
        return _ZEROED
    if granularity == "activation_channel":
        return dict.fromkeys(("params", "macs", "bytes", "latency", "sparsity"), _IN_CHANNELS)
    if granularity == "activation":
        return {"sparsity": _NOT_ZEROED, "latency": _NOT_IN_TABLE}
    return {"sparsity": _NOT_ZEROED}
