"""The residual stream: one unit is one feature of every layer that reads or writes it."""

from prunus.records import Graph, Groups
from prunus.units.axes import of_role


def groups(graph: Graph) -> Groups:
    """Return the groups of this role; removal need not be exact, since it was asked for."""
    return of_role(graph, "width")
