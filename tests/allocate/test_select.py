from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
import torch
from allocation_cases import scored_groups
from hypothesis import given
from hypothesis import strategies as st

from prunus.allocate.select import Cut, keep, lowest, pack
from prunus.records import Kept

Arrays = dict[str, npt.NDArray[np.float32]]


def pieces_of(array: npt.NDArray[np.float32], piece: int) -> Iterator[npt.NDArray[np.float32]]:
    return iter(np.split(array, range(piece, array.size, piece)))


def selected(
    arrays: Arrays, remove: int, *, most: dict[str, int] | None = None, piece: int = 5
) -> dict[str, list[bool]]:
    """Return per group which units the radix select removes."""
    scores = {name: partial(pieces_of, array, piece) for name, array in arrays.items()}
    most = most or {name: array.size for name, array in arrays.items()}
    cuts = lowest(remove, scores=scores, most=most)
    return {
        name: [not kept for part in keep(scores[name](), cut) for kept in part]
        for name, cut in cuts.items()
    }


def removed_one_by_one(arrays: Arrays, remove: int, most: dict[str, int]) -> dict[str, list[bool]]:
    """Sort everything and remove the lowest that its group still gives."""
    gone = {name: np.zeros(array.size, dtype=bool) for name, array in arrays.items()}
    units = [(array[i], name, i) for name, array in arrays.items() for i in range(array.size)]
    for _, name, i in sorted(units, key=lambda unit: unit[0]):  # stable: position breaks ties
        if gone[name].sum() < most[name] and sum(g.sum() for g in gone.values()) < remove:
            gone[name][i] = True
    return {name: mask.tolist() for name, mask in gone.items()}


@given(values=scored_groups(), data=st.data())
def test_it_is_what_sorting_gives(values: dict[str, list[float]], data: st.DataObject) -> None:
    arrays = {name: np.array(scores, dtype=np.float32) for name, scores in values.items()}
    most = {name: data.draw(st.integers(0, array.size)) for name, array in arrays.items()}
    most["g0"] = max(1, most["g0"])
    remove = data.draw(st.integers(1, sum(most.values())))
    found = selected(arrays, remove, most=most, piece=data.draw(st.integers(1, 30)))
    expected = removed_one_by_one(arrays, remove, most)
    assert {name: found.get(name, [False] * a.size) for name, a in arrays.items()} == expected


@pytest.mark.parametrize("remove", [1, 5_000, 10_000, 19_999, 20_000])
def test_it_is_what_topk_gives(remove: int) -> None:
    score = torch.randn(20_000)
    gone = torch.tensor(selected({"w": score.numpy()}, remove, piece=4096)["w"])
    assert set(gone.nonzero().flatten().tolist()) == set(
        torch.topk(score, remove, largest=False).indices.tolist()
    )


def test_neighbours_in_the_last_bit_are_told_apart() -> None:
    for start in (-1.0, -1e-45, 0.0, 1e-45, 1.0, 65504.0):
        steps = [np.float32(start)]
        for _ in range(9):
            steps.append(np.nextafter(steps[-1], np.float32(np.inf)))
        array = np.array(steps[::-1])
        assert selected({"w": array}, 3)["w"] == [False] * 7 + [True] * 3


def test_zeros_of_both_signs_are_equal() -> None:
    array = np.array([0.0, -0.0, 0.0, -0.0], dtype=np.float32)
    assert selected({"w": array}, 2)["w"] == [True, True, False, False]


def test_infinities_are_the_ends() -> None:
    array = np.array([np.inf, 3.4e38, -3.4e38, -np.inf], dtype=np.float32)
    assert selected({"w": array}, 1)["w"] == [False, False, False, True]
    assert selected({"w": array}, 3)["w"] == [False, True, True, True]


def test_ties_go_by_position_over_all_groups() -> None:
    arrays = {name: np.ones(3, dtype=np.float32) for name in "ab"}
    assert selected(arrays, 4) == {"a": [True, True, True], "b": [True, False, False]}


def test_a_group_gives_up_no_more_than_its_most() -> None:
    arrays = {"low": np.arange(4, dtype=np.float32), "high": np.arange(10, 14, dtype=np.float32)}
    found = selected(arrays, 3, most={"low": 1, "high": 4})
    assert found == {"low": [True, False, False, False], "high": [True, True, False, False]}


def test_the_cut_says_how_many_go() -> None:
    array = np.array([5, 1, 3, 3, 3], dtype=np.float32)
    cuts = lowest(3, scores={"w": partial(pieces_of, array, 2)}, most={"w": 5})
    assert cuts == {"w": Cut(np.float32(3), ties=2, removed=3)}


@given(st.lists(st.lists(st.booleans(), max_size=40), max_size=9))
def test_pieces_of_any_length_pack_as_the_whole(pieces: list[list[bool]]) -> None:
    mask = torch.tensor([bit for piece in pieces for bit in piece], dtype=torch.bool)
    packed = pack((np.array(piece, dtype=bool) for piece in pieces), size=mask.numel())
    assert torch.equal(packed.bits, Kept.of(mask).bits)
    assert packed.size == mask.numel()
