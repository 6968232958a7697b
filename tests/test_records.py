"""The records that stages hand over: packed masks, positions of members, lazily made scores."""

from collections.abc import Iterator
from dataclasses import FrozenInstanceError, is_dataclass
from inspect import getmembers, isclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from prunus import records
from prunus.extents import Leaf, Product, Sum
from prunus.records import Group, Kept, Member, Plan, Scores


@given(st.lists(st.booleans(), max_size=70))
def test_kept_gives_the_mask_back(mask: list[bool]) -> None:
    kept = Kept.of(torch.tensor(mask, dtype=torch.bool))

    assert kept.mask().tolist() == mask
    assert kept.count == sum(mask)
    assert kept.bits.numel() == -(-len(mask) // 8)


def test_kept_by_hand() -> None:
    kept = Kept.of(torch.tensor([True, False, False, False, False, False, False, True, True]))

    assert kept.bits.tolist() == [0b10000001, 0b10000000]
    assert kept.size == 9


def test_a_group_knows_where_its_units_lie_in_each_member() -> None:
    conv = Member("conv.weight", 0, Leaf(2, "conv"))
    flattened = Product((Sum((Leaf(1), Leaf(2, "conv"))), Leaf(2)))
    group = Group("conv", "channel", 2, (conv, Member("fc.weight", 1, flattened)))

    assert [index_UK.tolist() for index_UK in group.index_UK] == [[[0], [1]], [[2, 3], [4, 5]]]


def test_a_member_may_be_the_second_occurrence() -> None:
    twice = Sum((Leaf(2, "a"), Leaf(1), Leaf(2, "a")))
    group = Group("a", "channel", 2, (Member("fc.weight", 1, twice, occurrence=1),))

    assert group.index_UK[0].tolist() == [[3], [4]]


def test_a_group_is_exact_until_a_reason_says_otherwise() -> None:
    assert Group("a", "channel", 2, ()).exact
    assert not Group("a", "channel", 2, (), inexact_because=("LayerNorm over it",)).exact


def test_scores_join_their_pieces() -> None:
    def stream(group: str) -> Iterator[Tensor]:
        yield torch.tensor([1.0, 2.0])
        yield torch.tensor([float(len(group))])

    scores = Scores("ByHand()", stream)

    assert scores["conv"].tolist() == [1, 2, 4]
    assert scores["conv"].tolist() == [1, 2, 4]  # may be called again


def test_a_plan_counts_what_it_keeps() -> None:
    plan = Plan("channel", {"conv": Kept.of(torch.tensor([True, False, True]))}, tensors={})

    assert plan.counts == {"conv": 2}


@pytest.mark.parametrize("record", [r for _, r in getmembers(records, is_dataclass) if isclass(r)])
def test_every_record_is_frozen(record: type) -> None:
    first = next(iter(record.__dataclass_fields__))
    with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{first}'"):
        setattr(object.__new__(record), first, None)
