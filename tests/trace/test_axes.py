import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prunus.extents import Leaf, Product, Sum, mask_of, show
from prunus.trace.axes import (
    Extents,
    Mismatch,
    Node,
    cut,
    equal_parts,
    factors,
    freeze,
    fresh,
    leaves_of,
    mark_inexact,
    product,
    sizes,
    split,
    sum_of,
    terms,
    unify,
)


def written(node: Node, **leaves: Node) -> str:
    """Return a node as people write it, with names for some of its leaves."""
    return show(Extents({leaf.find(): name for name, leaf in leaves.items()}).of(node))


# -- by hand ----------------------------------------------------------------------------------


def test_products_and_sums_are_flat():
    a, b, c = fresh(2), fresh(3), fresh(4)

    assert factors(product([product([a, b]), c])) == [a, b, c]
    assert terms(sum_of([a, sum_of([b, c])])) == [a, b, c]
    assert sizes([product([a, b, c]), sum_of([a, b, c])]) == (24, 9)


def test_what_adds_nothing_is_left_out():
    a = fresh(3)

    assert product([fresh(1), a, fresh(1)]) is a
    assert sum_of([fresh(0), a]) is a
    assert (product([]).size, sum_of([]).size) == (1, 0)


def test_a_leaf_that_meets_a_product_becomes_it():
    whole, heads, dim = fresh(768), fresh(12), fresh(64)
    unify(whole, product([heads, dim]))

    assert written(whole, heads=heads, dim=dim) == "12[heads] * 64[dim]"


def test_a_leaf_that_meets_a_sum_becomes_it():
    whole, one, other = fresh(96), fresh(64), fresh(32)
    unify(sum_of([one, other]), whole)

    assert written(whole, one=one, other=other) == "64[one] + 32[other]"


def test_two_products_are_refined_until_they_match():
    a, b, c, d = fresh(4), fresh(6), fresh(2), fresh(12)
    unify(product([a, b]), product([c, d]))

    assert [factor.size for factor in factors(a)] == [2, 2]
    assert factors(d) == [factors(a)[1], b]


def test_two_sums_are_refined_until_they_match():
    a, b, c, d = fresh(6), fresh(4), fresh(4), fresh(6)
    unify(sum_of([a, b]), sum_of([c, d]))

    assert [term.size for term in terms(a)] == [4, 2]
    assert terms(d) == [terms(a)[1], b]


def test_a_sum_of_equal_halves_is_a_product():
    half, two, inner = fresh(5), fresh(2), fresh(5)
    unify(sum_of([half, half]), product([two, inner]))

    assert half.find() is inner.find()


def test_products_of_other_factors_do_not_match():
    with pytest.raises(Mismatch, match="2 x 3 and 3 x 2 have no common factor"):
        unify(product([fresh(2), fresh(3)]), product([fresh(3), fresh(2)]))


def test_sizes_must_be_equal():
    with pytest.raises(Mismatch, match="sizes 4 and 5 differ"):
        unify(fresh(4), fresh(5))


def test_split_inside_a_factor():
    a, b = fresh(4), fresh(6)
    outer, inner = split(product([a, b]), 8)

    assert (outer.size, inner.size) == (8, 3)
    assert factors(outer)[0] is a
    assert factors(b) == [factors(outer)[1], inner]


@pytest.mark.parametrize(("outer", "expected"), [(1, (1, 6)), (6, (6, 1)), (3, (3, 2))])
def test_split_of_a_leaf(outer, expected):
    assert sizes(split(fresh(6), outer)) == expected


def test_split_of_a_sum_couples_its_terms():
    """A fused qkv viewed as 3 x heads x width: the heads of all three go together."""
    q, k, v = fresh(12), fresh(12), fresh(12)
    outer, inner = split(sum_of([q, k, v]), 3)

    assert outer.size == 3
    assert all(node.find() is inner.find() for node in (q, k, v))


@pytest.mark.parametrize(
    ("node", "outer"),
    [
        (lambda: fresh(6), 4),
        (lambda: fresh(6), 0),
        (lambda: product([fresh(2), fresh(3)]), 3),
        (lambda: sum_of([fresh(3), fresh(5)]), 4),
    ],
)
def test_split_that_does_not_divide(node, outer):
    with pytest.raises(Mismatch, match=r"not a multiple of|cannot be split|do not divide"):
        split(node(), outer)


def test_cut_inside_a_term():
    a, b = fresh(4), fresh(6)
    head, tail = cut(sum_of([a, b]), 7)

    assert terms(head) == [a, terms(b)[0]]
    assert sizes([head, tail]) == (7, 3)


def test_cut_of_a_product_keeps_its_inner_factors():
    a, b = fresh(4), fresh(3)
    head, tail = cut(product([a, b]), 3)

    assert head.find() is b  # the first of a's 4 units has size 1 and needs no mention
    assert [factor.size for factor in factors(tail)] == [3, 3]
    assert factors(tail)[1] is b


@pytest.mark.parametrize("at", [0, 6, 7])
def test_cut_outside_of_the_node(at):
    with pytest.raises(Mismatch, match=f"cannot cut 6 at {at}"):
        cut(fresh(6), at)


def test_cut_of_a_product_between_its_inner_positions():
    with pytest.raises(Mismatch, match="cannot cut 12 at 4: not a multiple of 3"):
        cut(product([fresh(4), fresh(3)]), 4)


def test_equal_parts_are_one_extent_and_as_many_as_before():
    node = fresh(12)
    parts = equal_parts(node, 3)

    assert len(set(parts)) == 1
    assert [list(factor.frozen) for factor in factors(node)] == [["number of equal parts"], []]


def test_reasons_reach_all_leaves_and_the_parts_of_later_refinements():
    a, b = fresh(4), fresh(6)
    freeze(product([a, b]), "output")
    mark_inexact(b, "softmax")
    split(b, 2)

    assert [list(leaf.frozen) for leaf in leaves_of(product([a, b]))] == [["output"]] * 3
    assert [list(leaf.inexact) for leaf in leaves_of(b)] == [["softmax"]] * 2


def test_reasons_of_both_sides_are_kept():
    one, other = fresh(4, "input"), fresh(4)
    mark_inexact(other, "mean")
    unify(other, one)

    assert one.find() is other.find()
    assert (list(one.find().frozen), list(one.find().inexact)) == (["input"], ["mean"])


def test_extents_name_leaves_and_fold_what_is_fixed():
    a, b, c = fresh(2), fresh(3), fresh(4)
    node = sum_of([product([a, b]), product([b, c])])

    assert Extents({}).of(node) == Leaf(18)
    named = Extents({a: "a"}).of(node)
    assert named == Sum((Product((Leaf(2, "a"), Leaf(3))), Leaf(12)))


# -- for all sequences of operations ----------------------------------------------------------

Position = frozenset[tuple[int, int]]


def positions(node: Node) -> list[Position]:
    """What a node means: for every position, the (leaf, unit) pairs that own it."""
    node = node.find()
    if node.kind == "leaf":
        return [frozenset({(id(node), unit)}) for unit in range(node.size)]
    parts = [positions(part) for part in node.parts]
    return [each for part in parts for each in part] if node.kind == "sum" else outer_product(parts)


def outer_product(parts: list[list[Position]]) -> list[Position]:
    whole: list[Position] = [frozenset()]
    for part in parts:
        whole = [outer | inner for outer in whole for inner in part]
    return whole


def without(fixed: set[int], owners: list[Position]) -> list[Position]:
    """Leave out leaves that are never cut: it is all one whether they are mentioned."""
    return [frozenset(pair for pair in owner if pair[0] not in fixed) for owner in owners]


class World:
    """Extents, and all that was ever claimed about them."""

    def __init__(self, leaf_sizes: list[int]) -> None:
        self.nodes = [fresh(size) for size in leaf_sizes]
        self.before = list(leaf_sizes)
        self.claims: list[tuple[list[Node], list[list[Node]]]] = []  # whole == sums of products
        self.frozen: list[tuple[Node, str]] = []

    def add(self, *nodes: Node) -> None:
        self.nodes += nodes
        self.before += sizes(nodes)

    def claim(self, whole: Node, *sums: list[Node]) -> None:
        self.claims.append(([whole], list(sums)))

    def product(self, one: Node, other: Node) -> None:
        if one.size * other.size <= 200:
            self.add(product([one, other]))
            self.claim(self.nodes[-1], [one, other])

    def sum(self, one: Node, other: Node) -> None:
        if one.size + other.size <= 200:
            self.add(sum_of([one, other]))
            self.claim(self.nodes[-1], [one], [other])

    def split(self, node: Node, number: int) -> None:
        outer, inner = split(node, number)
        self.add(outer, inner)
        self.claim(node, [outer, inner])

    def cut(self, node: Node, at: int) -> None:
        head, tail = cut(node, at)
        self.add(head, tail)
        self.claim(node, [head], [tail])

    def parts(self, node: Node, number: int) -> None:
        parts = equal_parts(node, number)
        self.add(parts[0])
        self.claim(node, *([part] for part in parts))

    def unify(self, one: Node, other: Node) -> None:
        unify(one, other)
        self.claim(one, [other])

    def freeze(self, node: Node, reason: int) -> None:
        freeze(node, str(reason))
        self.frozen.append((node, str(reason)))

    def check(self) -> None:
        """All claims hold of all positions, sizes are what they were, reasons are not lost."""
        assert [node.find().size for node in self.nodes] == self.before
        leaves = {leaf for node in self.nodes for leaf in leaves_of(node)}
        fixed = {id(leaf) for leaf in leaves if leaf.size == 1 or leaf.frozen}
        for (whole,), sums in self.claims:
            expected = [p for parts in sums for p in outer_product([positions(n) for n in parts])]
            assert without(fixed, positions(whole)) == without(fixed, expected)
        for node, reason in self.frozen:
            assert all(reason in leaf.frozen for leaf in leaves_of(node))


leaf_sizes = st.lists(st.sampled_from([1, 2, 3, 4, 5, 6, 8, 12, 24]), min_size=2, max_size=6)
place = st.integers(0, 10**6)
pairs = st.tuples(st.sampled_from(["product", "sum", "unify"]), place, place)
numbers = st.tuples(st.sampled_from(["split", "cut", "parts", "freeze"]), place, st.integers(1, 12))
steps = st.lists(pairs | pairs | numbers, max_size=14)


def played(world: World, steps: list[tuple[str, int, int]]) -> int:
    """Do every step that is possible, check the world after each; return how many were not."""
    refused = 0
    for name, one, other in steps:
        node = world.nodes[one % len(world.nodes)]
        argument: Node | int = other
        if name in ("product", "sum"):
            argument = world.nodes[other % len(world.nodes)]
        elif name == "unify":
            alike = [each for each in world.nodes if each.find().size == node.find().size]
            argument = alike[other % len(alike)]
        try:
            getattr(world, name)(node, argument)
        except Mismatch:
            refused += 1
        world.check()
    return refused


@given(leaf_sizes=leaf_sizes, steps=steps)
def test_what_was_claimed_holds_ever_after(leaf_sizes, steps):
    played(World(leaf_sizes), steps)


@given(leaf_sizes=leaf_sizes, steps=steps, seed=st.integers(0, 99))
def test_the_plain_extent_means_the_same(leaf_sizes, steps, seed):
    world = World(leaf_sizes)
    played(world, steps)
    leaves = list(dict.fromkeys(leaf for node in world.nodes for leaf in leaves_of(node)))
    names = {leaf: str(id(leaf)) for leaf in leaves}
    generator = torch.Generator().manual_seed(seed)
    kept = {str(id(leaf)): torch.rand(leaf.size, generator=generator) < 0.7 for leaf in leaves}
    for node in world.nodes:
        owners = positions(node)
        expected = [all(kept[str(leaf)][unit] for leaf, unit in owner) for owner in owners]
        assert mask_of(Extents(names).of(node), kept).tolist() == expected


def test_a_world_that_lies_is_found_out(monkeypatch):
    """The check can fail: cut that gives its parts back in the wrong order."""
    monkeypatch.setitem(globals(), "cut", lambda node, at: cut_right(node, at)[::-1])
    with pytest.raises(AssertionError):
        played(World([6]), [("cut", 0, 2)])


cut_right = cut
