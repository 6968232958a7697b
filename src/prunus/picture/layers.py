"""What a picture shows: the layers of a network in the order in which they run, and their units."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from prunus.explanation import Explanation
from prunus.extents import Extent, Leaf, Sum, axes_of, size_kept
from prunus.records import Groups

State = Literal["free", "asked", "frozen", "fixed"]


@dataclass(frozen=True)
class Piece:
    """A run of positions in a dim that are kept or removed in the same way.

    Attributes:
        groups: The groups whose units they are; several where heads have a width.
        size: Number of positions.
        kept: How many of them stay.
        state: "free" where units may be removed, "asked" where only on request, since that is not
            exact, "frozen" where none may be, "fixed" where they are no units.
    """

    groups: tuple[str, ...]
    size: int
    kept: int
    state: State


@dataclass(frozen=True)
class Layer:
    """One matrix, kernel or table, with what it makes and what it reads.

    Attributes:
        name: Of the parameter.
        shape: Its sizes.
        kept: How many of its numbers stay.
        makes: The pieces of the dim along which it makes units.
        reads: Those of the next dim, which it sums over.
    """

    name: str
    shape: tuple[int, ...]
    kept: int
    makes: tuple[Piece, ...]
    reads: tuple[Piece, ...]


def layers(explanation: Explanation, counts: Mapping[str, int]) -> tuple[Layer, ...]:
    """Return the layers of a network, in the order in which they run.

    Args:
        explanation: From `prunus.explain`.
        counts: Units kept per group; groups that are absent keep all.
    """
    graph = explanation.graph
    read = (value for operator in graph.operators for value in operator.inputs if value)
    ordered = dict.fromkeys(value.name for value in read if value.name in graph.parameters)
    found = []
    for name in ordered:
        value = graph.tensors[name or ""]
        if name is not None and len(value.shape) > 1:
            made = graph.output_dims[name]
            pieces = [tuple(_pieces(e, explanation.groups, counts)) for e in value.extents]
            kept = prod(size_kept(extent, counts) for extent in value.extents)
            found.append(Layer(name, value.shape, kept, pieces[made], pieces[1 - made]))
    return tuple(found)


def _pieces(extent: Extent, groups: Groups, counts: Mapping[str, int]) -> Iterator[Piece]:
    if isinstance(extent, Sum):
        for part in extent.parts:
            yield from _pieces(part, groups, counts)
        return
    names = (extent.axis,) if isinstance(extent, Leaf) else _in_order(extent)
    known = tuple(name for name in names if name is not None and name in groups)
    yield Piece(known, extent.size, size_kept(extent, counts), _state(known, groups))


def _in_order(extent: Extent) -> tuple[str, ...]:
    return tuple(sorted(axes_of(extent)))


def _state(names: tuple[str, ...], groups: Groups) -> State:
    found = [groups[name] for name in names]
    if not found:
        return "fixed"
    if any(group.frozen_because is None for group in found):
        return "free"
    return "asked" if any(not group.exact for group in found) else "frozen"
