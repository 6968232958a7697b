"""Every structure whose removal is exact: channels, hidden neurons, heads, key-value groups."""

from prunus.records import Graph, Groups
from prunus.units.axes import groups_of_axes, only_exact


def groups(graph: Graph) -> Groups:
    """Return one group per axis of `graph`; those that are not exact are frozen."""
    return only_exact(groups_of_axes(graph))
