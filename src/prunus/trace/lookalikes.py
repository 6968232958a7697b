"""Axes that the same lines of user code treat alike, as in the repeated blocks of a model."""

from collections import defaultdict
from collections.abc import Iterator

from prunus.extents import axes_of, leaves
from prunus.records import Graph, Operator


def lookalikes(graph: Graph, axis: str) -> frozenset[str]:
    """Return the axes of the size of `axis` that occur wherever it occurs, and `axis` itself.

    Where one of them makes the model do something else after a cut, so do the others: the same
    lines of code meet the same numbers.
    """
    places: defaultdict[str, set[tuple[object, ...]]] = defaultdict(set)
    for operator in graph.operators:
        for place, name in _places(operator):
            places[name].add(place)
    size = graph.axes[axis].size
    return frozenset(
        name for name, found in places.items()
        if found == places[axis] and graph.axes[name].size == size
    ) | {axis}  # fmt: skip


def _places(operator: Operator) -> Iterator[tuple[tuple[object, ...], str]]:
    dims = (
        (output, dim, extent)
        for output, value in enumerate(operator.outputs)
        for dim, extent in enumerate(value.extents)
        if axes_of(extent)
    )
    for output, dim, extent in dims:
        for position, leaf in enumerate(leaves(extent)):
            if leaf.axis is not None:
                yield (operator.name, operator.location, output, dim, position), leaf.axis
