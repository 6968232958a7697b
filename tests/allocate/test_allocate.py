from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from allocation_cases import Chain, Numbers, groups_of, scores_of

from prunus.allocate import Allocator, Budget, Counts, Global, Problem, Uniform, allocate, get
from prunus.errors import BudgetError, CriterionError
from prunus.records import Kept, Scores

SIZES = {"a": 4, "b": 4}
VALUES = {"a": [1.0, 9, 2, 8], "b": [7.0, 3, 6, 5]}


def run(
    *,
    budget: Budget = Budget(units=0.5),  # noqa: B008 - frozen
    scores: Scores | None = None,
    allocation: str | Allocator = "global",
    **groups: Any,
) -> dict[str, Kept]:
    return allocate(
        groups_of(SIZES, **groups),
        scores=scores or scores_of(VALUES),
        budget=budget,
        allocation=allocation,
        costs=Chain(SIZES),
    )


def counts(kept: Mapping[str, Kept]) -> dict[str, int]:
    return {name: which.count for name, which in kept.items()}


def test_names_and_instances_are_the_same() -> None:
    assert get("global") == Global() == get(Global())
    assert get("uniform") == Uniform()
    assert (
        counts(run(allocation="uniform")) == counts(run(allocation=Uniform())) == {"a": 2, "b": 2}
    )


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(BudgetError, match=r"'globl'\n.*global, .*uniform\n.*'global'"):
        run(allocation="globl")


def test_only_groups_that_lose_units_are_in_the_answer() -> None:
    assert counts(run(budget=Budget(units=7))) == {"a": 3}


def test_frozen_groups_are_never_read() -> None:
    def stream(name: str) -> Any:
        assert name == "b", "the scores of a frozen group do not exist"
        return iter([torch.tensor(VALUES["b"])])

    kept = run(scores=Scores("ByHand()", stream), frozen={"a": "model output"})
    assert counts(kept) == {"b": 2}


def test_what_the_dense_model_meets_removes_nothing() -> None:
    assert run(budget=Budget(params="1 G")) == {}


def test_a_model_without_groups_cannot_be_pruned() -> None:
    with pytest.raises(
        BudgetError, match=r"macs=0.5 cannot be met: the model has no group of units"
    ):
        allocate(
            {}, scores=scores_of({}), budget=Budget(macs=0.5), allocation="global", costs=Chain({})
        )


def test_weights_are_zeroed_by_their_own_rules() -> None:
    groups = groups_of(SIZES, granularity="weight")
    kept = allocate(
        groups,
        scores=scores_of(VALUES),
        budget=Budget(sparsity=0.25),
        allocation="global",
        costs=Numbers(12),
    )
    assert counts(kept) == {"a": 2, "b": 3}


def test_weights_and_channels_do_not_mix() -> None:
    groups = {**groups_of({"a": 4}), **groups_of({"b": 4}, granularity="weight")}
    with pytest.raises(BudgetError, match=r"cannot share one budget\n.*channel, weight;"):
        allocate(
            groups,
            scores=scores_of(VALUES),
            budget=Budget(params=0.5),
            allocation="global",
            costs=Chain(SIZES),
        )


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_a_score_that_is_nan_has_no_rank(granularity: str) -> None:
    scores = scores_of({"a": [1.0, 2, 3, 4], "b": [1.0, float("nan"), 2, 3]})
    with pytest.raises(CriterionError, match=r"ByHand\(\) gave NaN for group 'b'\n  why:  a unit"):
        run(scores=scores, granularity=granularity)


@pytest.mark.parametrize("granularity", ["channel", "weight"])
@pytest.mark.parametrize("number", [3, 5])
def test_there_is_one_score_per_unit(granularity: str, number: int) -> None:
    scores = scores_of({"a": [1.0, 2, 3, 4], "b": [1.0] * number})
    with pytest.raises(CriterionError, match=rf"gave {number} scores for group 'b'\n.*has 4 units"):
        run(scores=scores, granularity=granularity)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_scores_of_other_types_are_read_as_float32(dtype: torch.dtype) -> None:
    scores = Scores("ByHand()", lambda name: iter([torch.tensor(VALUES[name]).to(dtype)]))
    assert counts(run(scores=scores)) == counts(run())


# -- an allocator that breaks its contract is stopped -----------------------------------------


@dataclass(frozen=True, kw_only=True)
class Says(Allocator):
    """Answers what it is told."""

    answer: Mapping[str, int]

    def counts(self, problem: Problem) -> Counts:
        return self.answer


@pytest.mark.parametrize("answer", [{"a": 3}, {"a": 0}, {"a": 5}, {"head": 2}])
def test_a_count_that_is_not_allowed_is_stopped(answer: dict[str, int]) -> None:
    budget = Budget(units=0.9, multiple_of=2)
    with pytest.raises(BudgetError, match=r"Says\(.*keeps \d units of group.*\n.*not allowed"):
        run(allocation=Says(answer=answer), budget=budget)


def test_a_missed_target_is_stopped() -> None:
    with pytest.raises(
        BudgetError, match=r"keeps too much\n.*budget units=0.5 is missed: \['units'"
    ):
        run(allocation=Says(answer={"a": 2}))
