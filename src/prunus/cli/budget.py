"""`--budget macs=0.5`: what the result may cost."""

from collections.abc import Sequence
from dataclasses import fields

import typer

from prunus.allocate import Budget
from prunus.errors import BudgetError, unknown_name

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
        Budget(params=None, macs='0.5', bytes='12 MB', units=None, sparsity=None, ...)
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
