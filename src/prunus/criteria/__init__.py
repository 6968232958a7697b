"""Criteria: what gives each unit a score; larger means keep.

Every file of this folder holds one criterion and is found by itself:

    >>> import prunus.criteria
    >>> "taylor" in prunus.criteria.names()
    True
    >>> prunus.criteria.get("taylor") == prunus.criteria.Taylor(joint=True)
    True
"""

import re
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from prunus.criteria.base import Criterion, scores
from prunus.errors import CriterionError, unknown_name

__all__ = ["Criterion", "get", "names", "scores"]

for _module in iter_modules(__path__, prefix=f"{__name__}."):
    import_module(_module.name)


def classes() -> dict[str, type[Criterion]]:
    """Return the criteria that prunus ships, by class name."""
    shipped = [kind for kind in Criterion.__subclasses__() if kind.__module__.startswith(__name__)]
    return {kind.__name__: kind for kind in sorted(shipped, key=lambda kind: kind.__name__)}


def names() -> tuple[str, ...]:
    """Return the names that `get` knows."""
    return tuple(_snake_case(name) for name in classes())


def get(criterion: str | Criterion) -> Criterion:
    """Return the criterion of that name, with its defaults; a criterion is returned as it is.

    Raises:
        CriterionError: There is none of that name.

    Example:
        >>> get("magnitude"), get(prunus.criteria.Magnitude(p=1))
        (Magnitude(p=2), Magnitude(p=1))
    """
    if isinstance(criterion, Criterion):
        return criterion
    for name, kind in classes().items():
        if criterion == _snake_case(name):
            return kind()
    raise unknown_name("criterion", criterion, names(), CriterionError)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def __getattr__(name: str) -> Any:
    """Make `prunus.criteria.Magnitude` work for every class found."""
    if name in classes():
        return classes()[name]
    raise AttributeError(f"module 'prunus.criteria' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *classes()]
