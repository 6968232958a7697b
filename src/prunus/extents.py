"""What a tensor dim is made of: a leaf, a row-major product, or a sum of axes.

After a trace every dim of every tensor is one `Extent`. A leaf names its axis; leaves without a
name have a fixed size. Everything that a plan does to a tensor follows from its extents:

    >>> heads = Product((Leaf(3), Leaf(4, "heads"), Leaf(2)))       # a fused qkv, 24 wide
    >>> size_kept(heads, {"heads": 3})
    18
    >>> kept = {"heads": torch.tensor([True, False, True, True])}
    >>> mask_of(heads, kept).nonzero().flatten().tolist()[:6]
    [0, 1, 4, 5, 6, 7]

Legend: U units of an axis, K positions that one unit owns in a dim.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor


class Places(NamedTuple):
    """Where the units of an axis lie in a dim: at first + unit * step, and on a grid from there on.

    Attributes:
        first: The first position of the first unit.
        units: Their number, and the step from one to the next.
        grid: Of what one unit owns, the same, outermost first; empty for one position.
    """

    first: int
    units: tuple[int, int]
    grid: tuple[tuple[int, int], ...] = ()

    def behind(self, before: int) -> "Places":
        """Return the places where `before` positions come in front."""
        return Places(self.first + before, self.units, self.grid)

    def inside(self, outer: tuple[int, int], inner: int) -> "Places":
        """Return the places where each position becomes `inner`, and all is repeated `outer`."""
        number, step = self.units
        steps = [(count, each * inner) for count, each in self.grid]
        grid = tuple(each for each in (outer, *steps, (inner, 1)) if each[0] > 1)
        return Places(self.first * inner, (number, step * inner), grid)

    def between(self, start: int, stop: int) -> "Places":
        """Return the places of the units start:stop."""
        _, step = self.units
        return Places(self.first + start * step, (stop - start, step), self.grid)

    @property
    def span(self) -> int:
        """Number of positions from the first to the last, others' in between included."""
        return 1 + sum((count - 1) * step for count, step in (self.units, *self.grid))

    def of(self, values: Tensor) -> Tensor:
        """Return what each unit owns, (U, K), of a vector of one value per position of the span."""
        counts, steps = zip(self.units, *self.grid, strict=True)
        return values.as_strided(counts, steps).reshape(self.units[0], -1)

    @property
    def index_UK(self) -> Tensor:
        """Unit u owns the K positions index_UK[u], ascending; int64 (U, K)."""
        return self.of(torch.arange(self.first, self.first + self.span))


@dataclass(frozen=True)
class Leaf:
    """One axis, or a fixed extent where `axis` is None."""

    size: int
    axis: str | None = None

    @cached_property
    def axes(self) -> frozenset[str]:
        """Its axis."""
        return frozenset() if self.axis is None else frozenset((self.axis,))

    @cached_property
    def places(self) -> Mapping[str, tuple[Places, ...]]:
        """Where the units of its axis lie."""
        return {} if self.axis is None else {self.axis: (Places(0, (self.size, 1)),)}


@dataclass(frozen=True)
class Product:
    """A row-major product: the last part varies fastest."""

    parts: "tuple[Extent, ...]"

    @cached_property
    def size(self) -> int:
        """Number of positions."""
        return prod(part.size for part in self.parts)

    @cached_property
    def axes(self) -> frozenset[str]:
        """The names of the axes in it."""
        return frozenset().union(*(part.axes for part in self.parts))

    @cached_property
    def places(self) -> Mapping[str, tuple[Places, ...]]:
        """Where the units of each axis lie, once for each time that it occurs."""
        found: dict[str, tuple[Places, ...]] = {}
        outer, inner = 1, self.size
        for part in self.parts:
            repeated, inner = (outer, inner), inner // part.size
            for axis, places in part.places.items():
                moved = tuple(each.inside(repeated, inner) for each in places)
                found[axis] = found.get(axis, ()) + moved
            outer *= part.size
        return found


@dataclass(frozen=True)
class Sum:
    """Parts that lie one after another."""

    parts: "tuple[Extent, ...]"

    @cached_property
    def size(self) -> int:
        """Number of positions."""
        return sum(part.size for part in self.parts)

    @cached_property
    def axes(self) -> frozenset[str]:
        """The names of the axes in it."""
        return frozenset().union(*(part.axes for part in self.parts))

    @cached_property
    def places(self) -> Mapping[str, tuple[Places, ...]]:
        """Where the units of each axis lie, once for each time that it occurs."""
        found: dict[str, tuple[Places, ...]] = {}
        before = 0
        for part in self.parts:
            for axis, places in part.places.items():
                found[axis] = found.get(axis, ()) + tuple(each.behind(before) for each in places)
            before += part.size
        return found


Extent: TypeAlias = Leaf | Product | Sum


def leaves(extent: Extent) -> Iterator[Leaf]:
    """Yield every leaf of `extent` from left to right, repeated ones as often as they occur."""
    if isinstance(extent, Leaf):
        yield extent
    else:
        for part in extent.parts:
            yield from leaves(part)


def factors_of(extents: Iterable[Extent]) -> Iterator[Extent]:
    """Yield what multiplies to the product of `extents`: leaves and sums."""
    for extent in extents:
        if isinstance(extent, Product):
            yield from factors_of(extent.parts)
        else:
            yield extent


def axes_of(extent: Extent) -> frozenset[str]:
    """Return the names of the axes that `extent` is made of."""
    return extent.axes


def size_kept(extent: Extent, count: Mapping[str, int]) -> int:
    """Return the size of `extent` when `count[axis]` units of each named axis are kept.

    Axes that are not in `count` keep all their units.
    """
    if isinstance(extent, Leaf):
        return extent.size if extent.axis is None else count.get(extent.axis, extent.size)
    sizes = (size_kept(part, count) for part in extent.parts)
    return prod(sizes) if isinstance(extent, Product) else sum(sizes)


def mask_of(extent: Extent, kept: Mapping[str, Tensor]) -> Tensor:
    """Return a bool tensor (extent.size,): the positions that stay.

    Args:
        extent: What the dim is made of.
        kept: Per axis a bool tensor (U,). Axes that are absent keep all their units.
    """
    if isinstance(extent, Leaf):
        if extent.axis is None or extent.axis not in kept:
            return torch.ones(extent.size, dtype=torch.bool)
        return kept[extent.axis].to(dtype=torch.bool, device="cpu")
    masks = [mask_of(part, kept) for part in extent.parts]
    if isinstance(extent, Sum):
        return torch.cat(masks)
    whole = masks[0]
    for mask in masks[1:]:
        whole = (whole[:, None] & mask[None, :]).flatten()
    return whole


def positions_of(extent: Extent, axis: str) -> list[Tensor]:
    """Return, for each time that `axis` occurs in `extent`, where its units lie: `index_UK`.

    Returns:
        One int64 tensor (U, K) per occurrence: unit u owns the K positions index_UK[u],
        ascending.

    Example:
        >>> positions_of(Sum((Leaf(2), Product((Leaf(2, "c"), Leaf(2))))), "c")[0].tolist()
        [[2, 3], [4, 5]]
    """
    return [places.index_UK for places in extent.places.get(axis, ())]


def show(extent: Extent) -> str:
    """Return `extent` as people write it.

    Example:
        >>> show(Sum((Leaf(2), Product((Leaf(3, "conv1"), Leaf(4))))))
        '2 + 3[conv1] * 4'
    """
    if isinstance(extent, Leaf):
        return str(extent.size) if extent.axis is None else f"{extent.size}[{extent.axis}]"
    if isinstance(extent, Sum):
        return " + ".join(show(part) for part in extent.parts)
    return " * ".join(
        f"({show(part)})" if isinstance(part, Sum) else show(part) for part in extent.parts
    )


def to_json(extent: Extent) -> Any:
    """Return `extent` as plain JSON.

    Example:
        >>> to_json(Sum((Leaf(2), Leaf(64, "conv1"))))
        {'sum': [2, {'axis': 'conv1', 'size': 64}]}
    """
    if isinstance(extent, Leaf):
        return extent.size if extent.axis is None else {"axis": extent.axis, "size": extent.size}
    kind = "product" if isinstance(extent, Product) else "sum"
    return {kind: [to_json(part) for part in extent.parts]}


def from_json(data: Any) -> Extent:
    """Return the extent that `to_json` wrote. Raises ValueError for anything else."""
    match data:
        case int(size):
            return Leaf(size)
        case {"axis": str(axis), "size": int(size)}:
            return Leaf(size, axis)
        case {"product": [*parts]}:
            return Product(tuple(from_json(part) for part in parts))
        case {"sum": [*parts]}:
            return Sum(tuple(from_json(part) for part in parts))
    raise ValueError(f"not an extent: {data!r}")
