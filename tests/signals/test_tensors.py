import pytest
import torch
from torch import Tensor

from prunus.errors import CriterionError
from prunus.extents import Leaf, Product, Sum
from prunus.records import Group, Member
from prunus.signals import GRADIENT, GRADIENT_PRODUCT, WEIGHT, Signals, group_of

ONLY_WEIGHTS = frozenset({WEIGHT})


def rows_of(tensor: Tensor, member: Member, size: int) -> Tensor:
    group = Group("c", "channel", size, (member,))
    return Signals({WEIGHT: {member.tensor: tensor}}).of(group, ONLY_WEIGHTS).members[0].weight_UF


def test_rows_of_an_output_dim():
    weight = torch.randn(4, 3, 2, 2)
    rows_UF = rows_of(weight, Member("w", 0, Leaf(4, "c")), 4)
    assert torch.equal(rows_UF, weight.flatten(1))
    assert rows_UF.data_ptr() == weight.data_ptr()  # not copied


def test_rows_of_an_input_dim():
    weight = torch.randn(2, 4, 3, 3)
    rows_UF = rows_of(weight, Member("w", 1, Leaf(4, "c")), 4)
    assert torch.equal(rows_UF, weight.transpose(0, 1).flatten(1))


def test_rows_of_a_bias():
    assert rows_of(torch.tensor([1.0, 2.0]), Member("b", 0, Leaf(2, "c")), 2).tolist() == [[1], [2]]


def test_rows_after_a_flatten():
    """Each channel owns 3 neighbouring columns."""
    weight = torch.arange(12.0).reshape(2, 6)
    member = Member("w", 1, Product((Leaf(2, "c"), Leaf(3))))
    assert rows_of(weight, member, 2).tolist() == [[0, 6, 1, 7, 2, 8], [3, 9, 4, 10, 5, 11]]


def test_rows_after_a_concatenation():
    weight = torch.tensor([[9.0, 1.0, 2.0, 9.0]])
    member = Member("w", 1, Sum((Leaf(1), Leaf(2, "c"), Leaf(1))))
    assert rows_of(weight, member, 2).tolist() == [[1], [2]]


def test_each_occurrence_of_an_axis_is_a_member():
    extent = Sum((Leaf(2, "c"), Leaf(2, "c")))
    members = (Member("w", 0, extent), Member("w", 0, extent, occurrence=1))
    tensors = Signals({WEIGHT: {"w": torch.tensor([1.0, 2.0, 3.0, 4.0])}})
    group = tensors.of(Group("c", "channel", 2, members), ONLY_WEIGHTS)
    assert [member.weight_UF.tolist() for member in group.members] == [[[1], [2]], [[3], [4]]]


@pytest.mark.parametrize("size", [1, 4, 5, 7, 60, 100])
@pytest.mark.parametrize("memory", ["in order", "transposed", "channels last"])
def test_pieces_join_to_the_whole(size, memory):
    weight = torch.arange(60.0).reshape(5, 3, 2, 2)
    if memory == "transposed":
        weight = torch.arange(60.0).reshape(2, 2, 3, 5).permute(3, 2, 1, 0)
    if memory == "channels last":
        weight = weight.to(memory_format=torch.channels_last)
    group = Group("w", "weight", 60, (Member("w", None),))
    pieces = list(Signals({WEIGHT: {"w": weight}}).pieces(group, ONLY_WEIGHTS, size=size))
    assert [piece.start for piece in pieces] == list(range(0, 60, size))
    assert torch.equal(
        torch.cat([piece.members[0].weight_UF for piece in pieces]), weight.reshape(-1, 1)
    )


def test_pieces_of_float32_weights_are_not_copies():
    weight = torch.randn(6, 5)
    group = Group("w", "weight", 30, (Member("w", None),))
    _, second = Signals({WEIGHT: {"w": weight}}).pieces(group, ONLY_WEIGHTS, size=16)
    assert second.members[0].weight_UF.data_ptr() == weight.data_ptr() + 16 * 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_rows_are_float32(dtype):
    rows_UF = rows_of(torch.ones(2, 2, dtype=dtype), Member("w", 0, Leaf(2, "c")), 2)
    assert rows_UF.dtype == torch.float32


def test_buffers_are_not_members():
    members = (Member("w", 0, Leaf(2, "c")), Member("mean", 0, Leaf(2, "c"), parameter=False))
    tensors = Signals({WEIGHT: {"w": torch.ones(2)}})
    group = tensors.of(Group("c", "channel", 2, members), ONLY_WEIGHTS)
    assert [member.name for member in group.members] == ["w"]


def test_group_signals_come_in_runs_too():
    group = Group("w", "weight", 5, (Member("w", None),))
    signals = Signals({GRADIENT_PRODUCT: {"w": torch.arange(5.0)}})
    first, second = signals.pieces(group, frozenset({GRADIENT_PRODUCT}), size=3)
    assert first.product_square_U.tolist() == [0, 1, 2]
    assert second.product_square_U.tolist() == [3, 4]


def test_reading_what_needs_does_not_name():
    group = group_of("fc", {WEIGHT: torch.ones(2, 3)})
    with pytest.raises(CriterionError, match=r"'grad_UF' of 'fc.0' cannot be read") as caught:
        _ = group.members[0].grad_UF
    assert "`needs` give it weight_UF" in caught.value.why
    assert "name the signal in `needs`" in caught.value.hint


def test_reading_a_member_signal_from_the_group():
    group = group_of("fc", {WEIGHT: torch.ones(2, 3)})
    with pytest.raises(CriterionError, match="'weight_UF' of 'fc' cannot be read") as caught:
        _ = group.weight_UF
    assert "_UF are read from group.members" in caught.value.hint


def test_reading_what_was_not_collected():
    group = Group("c", "channel", 2, (Member("w", 0, Leaf(2, "c")),))
    with pytest.raises(CriterionError, match="'grad_UF' of 'w' was not collected"):
        Signals({}).of(group, frozenset({GRADIENT}))


def test_group_of_several_members():
    group = group_of("fc", {WEIGHT: [torch.ones(2, 3), torch.zeros(2, 1)]}, granularity="head")
    assert (group.num_units, group.granularity, len(group.members)) == (2, "head", 2)
