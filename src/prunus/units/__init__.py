"""Graph -> Groups: how a model is cut into units.

A granularity is one file with a function `groups(graph) -> Groups`, found by its name.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from pkgutil import iter_modules

from prunus.errors import PlanError, unknown_name
from prunus.records import Graph, Groups
from prunus.units.scope import scoped

__all__ = ["groups", "names"]


def names() -> list[str]:
    """Return the names of all granularities."""
    return sorted(module.name for module in iter_modules(__path__) if module.name != "scope")


def groups(
    graph: Graph,
    granularity: str,
    *,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
) -> Groups:
    """Return all groups of a granularity, those that may not be cut with the reason.

    Groups whose removal is not exact are kept whole.

    Args:
        graph: From `trace`.
        granularity: One of `names()`.
        include: Patterns such as "backbone.*"; what no layer of theirs produces stays whole.
        exclude: Patterns; what these layers produce stays whole.

    Raises:
        PlanError: Unknown granularity, or a pattern that matches no layer.
    """
    if granularity not in names():
        raise unknown_name("granularity", granularity, names(), PlanError)
    make: Callable[[Graph], Groups] = import_module(f"{__name__}.{granularity}").groups
    return scoped(make(graph), include=include, exclude=exclude)
