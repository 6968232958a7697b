"""Attention heads: with grouped queries a key-value head and its query heads are one unit."""

from prunus.records import Graph, Groups
from prunus.units.axes import of_role


def groups(graph: Graph) -> Groups:
    """Return the groups of this role; removal need not be exact, since it was asked for."""
    return of_role(graph, "head")
