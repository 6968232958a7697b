"""Every error that prunus raises.

PruneError                  what happened, why, and a hint one can type
├── TraceError              the model could not be recorded
├── CriterionError          a criterion lacks its data, or broke its contract
├── BudgetError             no plan meets the budget
├── PlanError               a plan does not fit the model it is applied to
├── VerifyError             the shrunk model is not the masked model
├── TrainError              a training or recovery step went wrong
├── DataError               data are missing, empty or not finite
├── SaveError               a file is missing, altered, or from another format
└── StudyError              a study cannot start or go on

All of them are ValueErrors: they are raised for what a user can cause, before anything is changed.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

_LONGEST = 40
"""Characters of a value that an error shows."""


class PruneError(ValueError):
    """Base of all errors of prunus.

    Attributes:
        what: What happened, with names and values.
        why: The cause, or "" where `what` says it all.
        hint: What to do about it; something one can type.
    """

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"  why:  {self.why}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class TraceError(PruneError):
    """The model could not be recorded."""


class CriterionError(PruneError):
    """A criterion lacks the data it needs, or broke its contract."""


class BudgetError(PruneError):
    """No plan meets the budget."""


class PlanError(PruneError):
    """A plan does not fit the model it is applied to."""


class VerifyError(PruneError):
    """The shrunk model does not compute what the masked model computes."""


class TrainError(PruneError):
    """A training or recovery step went wrong."""


class DataError(PruneError):
    """Data are missing, empty or not finite."""


class SaveError(PruneError):
    """A file is missing, altered, or of a format that this version cannot read."""


class StudyError(PruneError):
    """A study cannot start or go on."""


def unknown_name(kind: str, name: Any, known: Iterable[str], error: type[PruneError]) -> PruneError:
    """Return an `error` for a name that is not among `known`, with the nearest names offered.

    What is no name, such as a class in place of an object, is said as that.

    Example:
        >>> print(unknown_name("criterion", "magnitud", ["magnitude", "taylor"], CriterionError))
        there is no criterion 'magnitud'
          why:  known: magnitude, taylor
          hint: did you mean 'magnitude'?
    """
    names = sorted(known)
    if not isinstance(name, str):
        made = f"{name.__name__}(), with brackets," if isinstance(name, type) else "an object"
        return error(
            f"{kind}={shown(name)} means nothing",
            why=f"it is {kind_of(name)}, and no name; known: {', '.join(names)}",
            hint=f"pass {made} or one of the known names",
        )
    near = get_close_matches(name, names, n=2, cutoff=0.5)
    hint = " or ".join(f"'{match}'" for match in near)
    return error(
        f"there is no {kind} '{name}'",
        why=f"known: {', '.join(names)}",
        hint=f"did you mean {hint}?" if near else "use one of the known names",
    )


def check_kind(
    name: str,
    value: Any,
    kind: Any,
    error: type[PruneError],
    *,
    hint: str,
    why: str = "",
    required: bool = False,
) -> None:
    """Raise an `error` where the argument `name` is no `kind`; None passes unless `required`.

    Example:
        >>> check_kind("budget", 0.5, dict, BudgetError, hint="prunus.Budget(macs=0.5)")
        Traceback (most recent call last):
        prunus.errors.BudgetError: budget=0.5 means nothing
          why:  it is a float
          hint: prunus.Budget(macs=0.5)
    """
    if (required or value is not None) and not isinstance(value, kind):
        raise error(
            f"{name}={shown(value)} means nothing", why=why or f"it is {kind_of(value)}", hint=hint
        )


def shown(value: Any) -> str:
    """Return a value in the words of an error: long ones cut short.

    Example:
        >>> shown(0.5), shown(dict), shown("x" * 100)
        ('0.5', 'dict', "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...")
        >>> shown(nn.Sequential(nn.ReLU()))
        'Sequential(...'
    """
    first, more, _ = repr(value).partition("\n")
    text = getattr(value, "__name__", None) or (f"{first}..." if more else first)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def kind_of(value: Any) -> str:
    """Return what a value is, in the words of an error.

    Example:
        >>> kind_of(0.5), kind_of(int), kind_of(None)
        ('a float', 'a class', 'a NoneType')
    """
    name = "class" if isinstance(value, type) else type(value).__name__
    return f"an {name}" if name[0].lower() in "aeiou" else f"a {name}"
