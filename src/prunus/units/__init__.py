"""Graph -> Groups: how a model is cut into units.

A granularity is one file with a function `groups(graph) -> Groups`, found by its name. Those with
numbers in them, "2:4" and "4x1", have a file for the kind: `groups(graph, 2, 4)`.
"""

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from prunus.errors import PlanError, unknown_name
from prunus.records import Graph, Groups
from prunus.units.scope import scoped
from prunus.units.tiles import Tiling

__all__ = ["Tiling", "groups", "names", "none_found", "spelled", "straightens", "tilings", "zeroes"]

_SHARED = ("axes", "permutation", "scope", "tiles")
_FILES = {"n:m": "nm"}
_KINDS = {"n:m": re.compile(r"(\d+):(\d+)"), "block": re.compile(r"(\d+)x(\d+)")}
_DEFAULTS = {"n:m": "2:4", "block": "4x1"}


def names() -> list[str]:
    """Return the names of all granularities; "n:m" and "block" stand for any numbers."""
    kinds = {file: kind for kind, file in _FILES.items()}
    files = [module.name for module in iter_modules(__path__) if module.name not in _SHARED]
    return sorted(kinds.get(file, file) for file in files)


def spelled(granularity: str) -> str:
    """Return `granularity` with its numbers: "n:m" is "2:4", "block" is "4x1".

    Raises:
        PlanError: There is no such granularity.

    Example:
        >>> spelled("n:m"), spelled("1x8"), spelled("weight")
        ('2:4', '1x8', 'weight')
    """
    _parsed(granularity)
    return _DEFAULTS.get(granularity, granularity)


def zeroes(granularity: str) -> bool:
    """Return whether single weights, in slots or blocks or not, are set to zero."""
    return _parsed(granularity)[0] in ("weight", *_KINDS)


def straightens(granularity: str) -> bool:
    """Return whether activation functions, or channels of them, become straight lines."""
    return _parsed(granularity)[0] in ("activation", "activation_channel")


def tilings(graph: Graph, granularity: str) -> Mapping[str, Tiling]:
    """Return how the weights of each group lie in slots or blocks; empty where they do not."""
    kind, numbers = _parsed(granularity)
    if kind not in _KINDS:
        return {}
    found: dict[str, Tiling] = _file(kind).tilings(graph, *numbers)[0]
    return found


def groups(
    graph: Graph,
    granularity: str,
    *,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
) -> Groups:
    """Return all groups of a granularity, those that may not be cut with the reason.

    At "channel" the groups whose removal is not exact are kept whole; the others, which are asked
    for by name, remove them all the same.

    Args:
        graph: From `trace`.
        granularity: One of `names()`, or with numbers: "2:4", "4x1".
        include: Patterns such as "backbone.*"; what no layer of theirs produces stays whole.
        exclude: Patterns; what these layers produce stays whole.

    Raises:
        PlanError: Unknown granularity, or a pattern that matches no layer.
    """
    kind, numbers = _parsed(granularity)
    found: Groups = _file(kind).groups(graph, *numbers)
    return scoped(found, include=include, exclude=exclude)


def none_found(graph: Graph, granularity: str) -> str:
    """Return why a model has no group at a granularity: where it has some, for an error."""
    free = [
        name
        for name in names()
        if any(group.frozen_because is None for group in groups(graph, name).values())
    ]
    return f"it has no units of granularity '{granularity}'; it has units to prune at: " + (
        ", ".join(free) or "none"
    )


def _file(kind: str) -> Any:
    return import_module(f"{__name__}.{_FILES.get(kind, kind)}")


def _parsed(granularity: str) -> tuple[str, tuple[int, ...]]:
    """Return the kind of a granularity, and its numbers."""
    if not isinstance(granularity, str):
        raise unknown_name("granularity", granularity, names(), PlanError)
    given = _DEFAULTS.get(granularity, granularity)
    for kind, spelling in _KINDS.items():
        if match := spelling.fullmatch(given):
            first, second = int(match[1]), int(match[2])
            if kind == "n:m" and not 0 < first < second:
                raise PlanError(
                    f"'{given}' is not a granularity n:m",
                    why="n weights stay in every m, so 0 < n < m",
                    hint="granularity='2:4'",
                )
            if kind == "block" and first * second < 2:
                raise PlanError(
                    f"'{given}' is no block of weights",
                    why="it is outputs x inputs, and spans at least two weights",
                    hint="granularity='4x1', or granularity='weight' for single weights",
                )
            return kind, (first, second)
    if given not in names():
        raise unknown_name("granularity", granularity, names(), PlanError)
    return given, ()
