"""`--budget macs=0.5`: what the result may cost."""

from collections.abc import Sequence
from dataclasses import fields
from math import ceil

import typer

from prunus import units
from prunus.allocate import Budget
from prunus.errors import BudgetError, unknown_name

FRACTIONS = (0.5, 0.25, 0.1)
_SHARED = ("min_units", "multiple_of")  # options of their own
TARGETS = tuple(field.name for field in fields(Budget) if field.name not in _SHARED)


def budget_of(texts: Sequence[str], *, min_units: int = 1, multiple_of: int = 1) -> Budget:
    """Return the budget in which everything that was given holds.

    Args:
        texts: As typed: "macs=0.5", or several in one: "macs=0.5,params=1.5 M".
        min_units: See `prunus.Budget`.
        multiple_of: See `prunus.Budget`.

    Raises:
        typer.BadParameter: A part is not figure=amount, or a figure is given twice.
        BudgetError: There is no such figure, or its amount means nothing.

    Example:
        >>> budget_of(["macs=0.5", "bytes=12 MB"])
        Budget(params=None, macs='0.5', bytes='12 MB', latency=None, units=None, ...)
    """
    amounts: dict[str, str] = {}
    for part in ",".join(texts).split(","):
        figure, equals, amount = part.strip().partition("=")
        if not equals or figure in amounts:
            fault = "is given twice" if figure in amounts else "is not figure=amount"
            raise typer.BadParameter(
                f"'{part}' {fault}; say it as in macs=0.5", param_hint="--budget"
            )
        if figure not in TARGETS:
            raise unknown_name("figure to budget", figure, TARGETS, BudgetError)
        amounts[figure] = amount
    return Budget(**amounts, min_units=min_units, multiple_of=multiple_of)


def usual(granularity: str) -> list[str]:
    """Return the budgets of a study where none are typed.

    Example:
        >>> usual("channel"), usual("2:4")
        (['macs=0.5', 'macs=0.25', 'macs=0.1'], ['units=0.5'])
    """
    n, slots, m = units.spelled(granularity).partition(":")
    if slots:
        return [f"units={ceil(1000 * int(n) / int(m)) / 1000}"]
    figure = "params" if units.zeroes(granularity) else "macs"
    figure = "units" if granularity == "activation_channel" else figure
    return [f"{figure}={fraction}" for fraction in FRACTIONS]
