"""Which weights stay where they lie in slots and blocks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prunus.allocate import Budget, allocate, default
from prunus.errors import BudgetError, CriterionError
from prunus.records import Group, Scores
from prunus.units import Tiling


class Numbers:
    """A model of so many parameters."""

    def __init__(self, params):
        self.number = params

    def params(self, counts):
        return self.number


def kept(scores, tilings, *, budget, allocation="global", params=None, frozen=()):
    groups = {
        name: Group(
            name, "weight", score.numel(), (), frozen_because="so" if name in frozen else None
        )
        for name, score in scores.items()
    }
    found = allocate(
        groups,
        scores=Scores("by hand", lambda name: iter([scores[name].flatten()])),
        budget=budget,
        allocation=allocation,
        costs=Numbers(params or sum(group.size for group in groups.values())),
        tilings={name: tiling for name, tiling in tilings.items() if name not in frozen},
    )
    return {name: one.mask().view(scores[name].shape) for name, one in found.items()}


def tile(score, rows, columns, keep=None):
    return Tiling(shape=score.shape, output_dim=0, rows=rows, columns=columns, keep=keep)


# -- blocks -----------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 1000),
    block=st.sampled_from([(4, 1), (2, 2), (1, 4), (2, 4)]),
    share=st.sampled_from([0.4, 0.5, 0.77]),
)
def test_blocks_of_least_sum_go(seed, block, share):
    generator = torch.Generator().manual_seed(seed)
    scores = {
        "a": torch.rand(16, 16, generator=generator),
        "b": torch.rand(16, 8, generator=generator),
    }
    tilings = {name: tile(score, *block) for name, score in scores.items()}
    masks = kept(scores, tilings, budget=Budget(params=share))

    area = block[0] * block[1]
    stay = int(share * 384) // area
    sums = torch.cat([tilings[name].tiles(scores[name]).sum(1) for name in scores])
    threshold = sums.sort(descending=True).values[stay - 1]
    for name, mask in masks.items():
        sums = tilings[name].tiles(scores[name]).sum(1)
        wanted = (sums >= threshold)[:, None].expand(-1, area)
        assert torch.equal(tilings[name].tiles(mask), wanted)


def test_a_budget_of_parameters_counts_what_is_in_no_block():
    scores = {"a": torch.arange(16.0).view(4, 4)}
    masks = kept(scores, {"a": tile(scores["a"], 4, 1)}, budget=Budget(sparsity=0.5), params=20)
    assert int((~masks["a"]).sum()) == 12  # 10 zeros are asked for; blocks are of 4


def test_uniform_takes_the_same_share_of_each_group():
    scores = {"a": torch.rand(8, 4), "b": 100 + torch.rand(4, 4)}
    tilings = {name: tile(score, 4, 1) for name, score in scores.items()}
    masks = kept(scores, tilings, budget=Budget(units=0.5), allocation="uniform")
    assert [int(mask.sum()) for mask in masks.values()] == [16, 8]


def test_no_group_loses_its_last_blocks():
    scores = {"a": torch.zeros(4, 4), "b": torch.ones(4, 4)}
    tilings = {name: tile(score, 4, 1) for name, score in scores.items()}
    masks = kept(scores, tilings, budget=Budget(units=0.5, min_units=1))
    assert [int(mask.sum()) for mask in masks.values()] == [4, 12]


def test_a_group_without_blocks_stays_whole():
    scores = {"a": torch.rand(4, 4), "b": torch.rand(3, 4)}
    tilings = {"a": tile(scores["a"], 4, 1)}
    masks = kept(scores, tilings, budget=Budget(params=0.8), frozen=["b"])
    assert masks.keys() == {"a"}


def test_scores_that_are_not_numbers():
    scores = {"a": torch.full((4, 4), torch.nan)}
    with pytest.raises(CriterionError, match="gave NaN for group 'a'"):
        kept(scores, {"a": tile(scores["a"], 4, 1)}, budget=Budget(units=0.5))


# -- slots ------------------------------------------------------------------------------------


@given(seed=st.integers(0, 1000), numbers=st.sampled_from([(2, 4), (1, 4), (3, 4), (1, 2)]))
def test_the_highest_of_each_slot_stay(seed, numbers):
    n, m = numbers
    score = torch.rand(3, 8, generator=torch.Generator().manual_seed(seed))
    budget, tilings = Budget(units=n / m), {"a": tile(score, 1, m, n)}
    mask = kept({"a": score}, tilings, budget=budget, allocation="uniform")["a"]
    for scores, stays in zip(score.view(-1, m), mask.view(-1, m), strict=True):
        assert int(stays.sum()) == n
        assert scores[stays].min() >= scores[~stays].max()


def test_of_equal_scores_the_first_go_first():
    score = torch.zeros(1, 4)
    mask = kept(
        {"a": score}, {"a": tile(score, 1, 4, 2)}, budget=Budget(units=0.5), allocation="uniform"
    )
    assert mask["a"].tolist() == [[False, False, True, True]]


def test_a_budget_that_the_slots_miss():
    score = torch.rand(2, 8)
    with pytest.raises(BudgetError, match=r"the slots leave 0\.6 of the parameters") as caught:
        kept({"a": score}, {"a": tile(score, 1, 4, 2)}, budget=Budget(sparsity=0.5),
             allocation="uniform", params=20)  # fmt: skip
    assert "such as a bias, stays" in caught.value.why
    assert caught.value.hint == "leave the budget out, or ask for sparsity<=0.4"


def test_slots_leave_nothing_to_allocate():
    score = torch.rand(2, 8)
    with pytest.raises(BudgetError, match="has nothing to decide"):
        kept({"a": score}, {"a": tile(score, 1, 4, 2)}, budget=Budget(units=0.5))
    assert default("2:4") == "uniform"
