"""Extents: what is kept, where units lie, and how both are written, agree with each other."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from prunus.extents import (
    Extent,
    Leaf,
    Product,
    Sum,
    axes_of,
    from_json,
    leaves,
    mask_of,
    positions_of,
    show,
    size_kept,
    to_json,
)

SIZES = {"a": 2, "b": 3, "c": 5}

leaf = st.one_of(
    st.builds(Leaf, st.integers(1, 4)),
    st.sampled_from([Leaf(size, axis) for axis, size in SIZES.items()]),
)


def nest(inner: st.SearchStrategy[Extent]) -> st.SearchStrategy[Extent]:
    parts = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return parts.map(Product) | parts.map(Sum)


extents = st.recursive(leaf, nest, max_leaves=6).filter(lambda extent: extent.size <= 10_000)
masks = st.fixed_dictionaries({
    axis: st.lists(st.booleans(), min_size=n, max_size=n) for axis, n in SIZES.items()
}).map(lambda kept: {axis: torch.tensor(mask) for axis, mask in kept.items()})

QKV = Product((Leaf(3), Leaf(4, "heads"), Leaf(2)))
CONCAT = Sum((Leaf(2, "conv1"), Leaf(3, "conv2"), Leaf(2, "conv1")))
FLATTENED = Product((CONCAT, Leaf(2)))


@given(extents, masks)
def test_the_mask_has_the_size_that_is_kept(extent: Extent, kept: dict[str, Tensor]) -> None:
    count = {axis: int(mask.sum()) for axis, mask in kept.items()}

    assert mask_of(extent, kept).shape == (extent.size,)
    assert mask_of(extent, kept).sum() == size_kept(extent, count)


@given(extents, masks)
def test_the_mask_drops_the_positions_of_the_units_dropped(
    extent: Extent, kept: dict[str, Tensor]
) -> None:
    expected = torch.ones(extent.size, dtype=torch.bool)
    for axis in axes_of(extent):
        for index_UK in positions_of(extent, axis):
            expected[index_UK[~kept[axis]].flatten()] = False

    assert torch.equal(mask_of(extent, kept), expected)


@given(extents)
def test_each_occurrence_has_its_own_positions(extent: Extent) -> None:
    for axis in axes_of(extent):
        found = positions_of(extent, axis)
        assert len(found) == [leaf.axis for leaf in leaves(extent)].count(axis)
        for index_UK in found:
            assert index_UK.shape[0] == SIZES[axis]
            assert index_UK.unique().numel() == index_UK.numel()
            assert torch.equal(index_UK, index_UK.sort(dim=1).values)


@given(extents)
def test_axes_that_are_not_named_keep_all(extent: Extent) -> None:
    assert size_kept(extent, {}) == extent.size
    assert mask_of(extent, {}).all()
    assert positions_of(extent, "elsewhere") == []


@given(extents)
def test_json_gives_the_same_extent_back(extent: Extent) -> None:
    assert from_json(to_json(extent)) == extent


@pytest.mark.parametrize(
    ("extent", "text", "size"),
    [
        (QKV, "3 * 4[heads] * 2", 24),
        (CONCAT, "2[conv1] + 3[conv2] + 2[conv1]", 7),
        (FLATTENED, "(2[conv1] + 3[conv2] + 2[conv1]) * 2", 14),
    ],
)
def test_size_and_text_by_hand(extent: Extent, text: str, size: int) -> None:
    assert (show(extent), extent.size) == (text, size)


def test_positions_by_hand() -> None:
    (heads,) = positions_of(QKV, "heads")
    assert heads[1].tolist() == [2, 3, 10, 11, 18, 19]

    first, second = positions_of(FLATTENED, "conv1")
    assert first.tolist() == [[0, 1], [2, 3]]
    assert second.tolist() == [[10, 11], [12, 13]]


def test_what_is_kept_by_hand() -> None:
    kept = {"conv1": torch.tensor([True, False]), "conv2": torch.tensor([False, True, True])}

    assert mask_of(CONCAT, kept).tolist() == [True, False, False, True, True, True, False]
    assert size_kept(FLATTENED, {"conv1": 1, "conv2": 2}) == 8


def test_an_axis_seen_twice_in_a_product_keeps_the_square() -> None:
    pairs = Product((Leaf(2, "a"), Leaf(2, "a")))

    assert mask_of(pairs, {"a": torch.tensor([True, False])}).tolist() == [
        True,
        False,
        False,
        False,
    ]
    assert [index_UK.tolist() for index_UK in positions_of(pairs, "a")] == [
        [[0, 1], [2, 3]],
        [[0, 2], [1, 3]],
    ]


@pytest.mark.parametrize(
    "data", [None, "64", 1.5, {"axis": "a"}, {"axis": 1, "size": 2}, {"sum": 3}]
)
def test_anything_else_is_not_an_extent(data: object) -> None:
    with pytest.raises(ValueError, match="not an extent"):
        from_json(data)


def test_json_by_hand() -> None:
    assert to_json(QKV) == {"product": [3, {"axis": "heads", "size": 4}, 2]}
