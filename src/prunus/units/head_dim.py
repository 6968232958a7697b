"""The width of attention heads: one unit is one position in every head."""

from prunus.records import Graph, Groups
from prunus.units.axes import of_role


def groups(graph: Graph) -> Groups:
    """Return the groups of this role; removal need not be exact, since it was asked for."""
    return of_role(graph, "head_dim")
