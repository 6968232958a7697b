"""The algebra of axes: what tensor dims are made of, found out while a model runs.

A `Node` is a leaf, a row-major product or a sum of nodes. Two operations do everything: `unify`
says that two dims are the same extent, and refines either side until they match; `fresh` makes a
new one. When the run is over, `Extents` turns nodes into the plain trees of `prunus.extents`.

A refinement that cannot be made raises `Mismatch`; the caller freezes what is involved.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import gcd, prod
from typing import Literal

from prunus.extents import Extent, Leaf, Product, Sum

# Reasons of extents that are no structure of the model, and are not reported.
KERNEL = "position in a kernel"
SPACE = "position in space or time"

Kind = Literal["leaf", "product", "sum"]


class Mismatch(Exception):
    """Two extents that must be equal cannot be made equal."""


class Node:
    """An extent under construction.

    Attributes:
        size: Number of positions.
        kind: "leaf" until a view, a slice or a unification refines it.
        parts: Of a product or a sum.
        frozen: Reasons why no unit of the leaf may be removed, first found first.
        inexact: Reasons why removing a unit changes more than its own contribution.
    """

    __slots__ = ("_same_as", "frozen", "inexact", "kind", "parts", "size")

    def __init__(self, size: int, kind: Kind = "leaf", parts: "tuple[Node, ...]" = ()) -> None:
        self.size = size
        self.kind: Kind = kind
        self.parts = parts
        self.frozen: dict[str, None] = {}
        self.inexact: dict[str, None] = {}
        self._same_as: Node | None = None

    def find(self) -> "Node":
        """Return the node that stands for this one, shortening the way to it."""
        root = self
        while root._same_as is not None:
            root = root._same_as
        node = self
        while node._same_as is not None:
            node._same_as, node = root, node._same_as
        return root

    def stand_for(self, other: "Node") -> None:
        """Make every mention of the leaf `other` mean this node."""
        freeze(self, *other.frozen)
        mark_inexact(self, *other.inexact)
        other._same_as = self

    def refine(self, kind: Kind, parts: "tuple[Node, ...]") -> None:
        """Turn this leaf into a product or sum of `parts`, which take over its reasons."""
        self.kind, self.parts = kind, parts
        for part in parts:
            freeze(part, *self.frozen)
            mark_inexact(part, *self.inexact)


# -- making -----------------------------------------------------------------------------------


def fresh(size: int, *frozen: str) -> Node:
    """Return a new leaf, frozen if reasons are given."""
    node = Node(size)
    node.frozen = dict.fromkeys(frozen)
    return node


def product(parts: Iterable[Node]) -> Node:
    """Return the row-major product of `parts`; the last varies fastest."""
    flat = [factor for part in parts for factor in factors(part)]
    if len(flat) < 2:
        return flat[0] if flat else fresh(1)
    return Node(prod(factor.size for factor in flat), "product", tuple(flat))


def sum_of(parts: Iterable[Node]) -> Node:
    """Return `parts` one after another."""
    flat = [term for part in parts for term in terms(part)]
    if len(flat) < 2:
        return flat[0] if flat else fresh(0)
    return Node(sum(term.size for term in flat), "sum", tuple(flat))


# -- reading ----------------------------------------------------------------------------------


def factors(node: Node) -> list[Node]:
    """Return the factors of `node`, outermost first, without those of size 1."""
    node = node.find()
    if node.kind == "product":
        return [factor for part in node.parts for factor in factors(part)]
    return [] if node.size == 1 else [node]


def terms(node: Node) -> list[Node]:
    """Return the terms of `node`, first to last, without empty ones."""
    node = node.find()
    if node.kind == "sum":
        return [term for part in node.parts for term in terms(part)]
    return [] if node.size == 0 else [node]


def leaves_of(node: Node) -> Iterator[Node]:
    """Yield the leaves of `node`; a leaf that occurs twice is yielded twice."""
    node = node.find()
    if node.kind == "leaf":
        yield node
    for part in node.parts:
        yield from leaves_of(part)


class Extents:
    """Turns the nodes of a finished run into plain trees, each node once: dims share theirs.

    Leaves that are not in `names` are fixed.
    """

    def __init__(self, names: Mapping[Node, str]) -> None:
        self._names = names
        self._known: dict[Node, Extent] = {}

    def of(self, node: Node) -> Extent:
        """Return the tree of `node`."""
        node = node.find()
        found = self._known.get(node)
        if found is None:
            found = self._known[node] = self._made(node)
        return found

    def _made(self, node: Node) -> Extent:
        if node.kind == "leaf":
            return Leaf(node.size, self._names.get(node))
        parts = tuple(map(self.of, node.parts))
        if not any(part.axes for part in parts):
            return Leaf(node.size)
        return Product(parts) if node.kind == "product" else Sum(parts)


# -- marking ----------------------------------------------------------------------------------


def freeze(node: Node, *reasons: str) -> None:
    """Forbid removing units of any leaf of `node`."""
    if reasons:
        for leaf in leaves_of(node):
            leaf.frozen.update(dict.fromkeys(reasons))


def mark_inexact(node: Node, *reasons: str) -> None:
    """Note that removing units of any leaf of `node` changes more than their contribution."""
    if reasons:
        for leaf in leaves_of(node):
            leaf.inexact.update(dict.fromkeys(reasons))


# -- refining ---------------------------------------------------------------------------------


def split(node: Node, outer: int) -> tuple[Node, Node]:
    """View `node` as a product of an extent of size `outer` and the rest; return both."""
    node = node.find()
    if outer == 0 or node.size % outer:
        raise Mismatch(f"{node.size} is not a multiple of {outer}")
    inner = node.size // outer
    if outer == 1:
        return fresh(1), node
    if inner == 1:
        return node, fresh(1)
    if node.kind == "leaf":
        parts = (fresh(outer), fresh(inner))
        node.refine("product", parts)
        return parts
    return _split_product(node, outer) if node.kind == "product" else _split_sum(node, inner)


def _split_product(node: Node, outer: int) -> tuple[Node, Node]:
    flat = factors(node)
    done = 1
    for place, factor in enumerate(flat):
        if done == outer:
            return product(flat[:place]), product(flat[place:])
        if done * factor.size > outer:
            if outer % done:
                raise Mismatch(f"{node.size} cannot be split into {outer} x {node.size // outer}")
            head, tail = split(factor, outer // done)
            return product([*flat[:place], head]), product([tail, *flat[place + 1 :]])
        done *= factor.size
    return product(flat), fresh(1)


def _split_sum(node: Node, inner: int) -> tuple[Node, Node]:
    """View every term as (its share of the outer extent) x inner; the inners become one."""
    flat = terms(node)
    uneven = [term.size for term in flat if term.size % inner]
    if uneven:
        raise Mismatch(f"joined parts of {uneven[0]} do not divide by {inner}")
    outers, inners = zip(*(split(term, term.size // inner) for term in flat), strict=True)
    for other in inners[1:]:
        unify(inners[0], other)
    return sum_of(outers), inners[0].find()


def cut(node: Node, at: int) -> tuple[Node, Node]:
    """View `node` as a sum of its first `at` positions and the rest; return both."""
    node = node.find()
    if not 0 < at < node.size:
        raise Mismatch(f"cannot cut {node.size} at {at}")
    if node.kind == "leaf":
        parts = (fresh(at), fresh(node.size - at))
        node.refine("sum", parts)
        return parts
    return _cut_sum(node, at) if node.kind == "sum" else _cut_product(node, at)


def _cut_sum(node: Node, at: int) -> tuple[Node, Node]:
    flat = terms(node)
    done = 0
    for place, term in enumerate(flat):
        if done == at:
            return sum_of(flat[:place]), sum_of(flat[place:])
        if done + term.size > at:
            head, tail = cut(term, at - done)
            return sum_of([*flat[:place], head]), sum_of([tail, *flat[place + 1 :]])
        done += term.size
    raise AssertionError("at lies inside the node")


def _cut_product(node: Node, at: int) -> tuple[Node, Node]:
    first, *rest = factors(node)
    inner = node.size // first.size
    if at % inner:
        raise Mismatch(f"cannot cut {node.size} at {at}: not a multiple of {inner}")
    head, tail = cut(first, at // inner)
    return product([head, *rest]), product([tail, *rest])


def equal_parts(node: Node, number: int) -> list[Node]:
    """Return the extents of `number` equal pieces of `node`.

    All pieces share one extent, so that they are equal after a cut too.
    """
    outer, inner = split(node, number)
    freeze(outer, "number of equal parts")
    return [inner] * number


def unify(one: Node, other: Node) -> None:
    """Make two extents the same, refining either until they match."""
    one, other = one.find(), other.find()
    if one is other:
        return
    if one.size != other.size:
        raise Mismatch(f"sizes {one.size} and {other.size} differ")
    if one.kind == "leaf":
        other.stand_for(one)
    elif other.kind == "leaf":
        one.stand_for(other)
    elif one.kind == other.kind == "product":
        _unify_products(one, other)
    else:
        _unify_sums(one, other)


def _unify_products(one: Node, other: Node) -> None:
    common = gcd(factors(one)[0].size, factors(other)[0].size)
    if common == 1:
        raise Mismatch(f"{_shape(one)} and {_shape(other)} have no common factor")
    one_outer, one_inner = split(one, common)
    other_outer, other_inner = split(other, common)
    unify(one_outer, other_outer)
    unify(one_inner, other_inner)


def _unify_sums(one: Node, other: Node) -> None:
    at = min(terms(node)[0].size for node in (one, other) if node.find().kind == "sum")
    one_head, one_tail = cut(one, at)
    other_head, other_tail = cut(other, at)
    unify(one_head, other_head)
    unify(one_tail, other_tail)


def _shape(node: Node) -> str:
    return " x ".join(str(factor.size) for factor in factors(node))


def sizes(nodes: Sequence[Node]) -> tuple[int, ...]:
    """Return the size of each node."""
    return tuple(node.find().size for node in nodes)
