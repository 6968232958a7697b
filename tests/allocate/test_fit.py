from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import pytest
import torch
from allocation_cases import Chain, groups_of, scored_groups, scores_of
from hypothesis import assume, given
from hypothesis import strategies as st

from prunus.allocate import Allocator, Budget, Counts, Global, Problem, Uniform
from prunus.allocate.fit import Structured
from prunus.errors import BudgetError

Values = Mapping[str, list[float]]


def problem_of(
    values: Values, budget: Budget, *, frozen: dict[str, str] | None = None
) -> Structured:
    sizes = {name: len(scores) for name, scores in values.items()}
    return Structured(
        groups=groups_of(sizes, frozen=frozen),
        scores=scores_of(values),
        budget=budget,
        costs=Chain(sizes),
    )


# -- by hand ----------------------------------------------------------------------------------


def test_global_takes_the_lowest_of_the_model() -> None:
    problem = problem_of({"a": [1, 9, 2, 8], "b": [7, 3, 6, 5]}, Budget(units=5))
    assert Global()(problem) == {"a": 2, "b": 3}


def test_uniform_takes_the_same_share_of_each_group() -> None:
    values = {"a": [9.0] * 4, "b": [1.0] * 8}
    assert Uniform()(problem_of(values, Budget(units=0.5))) == {"a": 2, "b": 4}
    assert Uniform()(problem_of(values, Budget(units=9))) == {"a": 3, "b": 6}


def test_a_chunk_stands_by_its_mean() -> None:
    values = {"a": [0.0, 10.0, 20.0, 20.0], "b": [4.0, 5.0, 20.0, 20.0]}
    assert Global()(problem_of(values, Budget(units=7))) == {"a": 3, "b": 4}
    assert Global()(problem_of(values, Budget(units=7, multiple_of=2))) == {"a": 4, "b": 2}


def test_a_size_that_is_no_multiple_may_stay_whole() -> None:
    values = {"a": [1.0, 2, 3, 4, 5], "b": [10.0] * 4}
    assert Global()(problem_of(values, Budget(units=8, multiple_of=4))) == {"a": 4, "b": 4}
    assert Uniform()(problem_of(values, Budget(params=1.0, multiple_of=4))) == {"a": 5, "b": 4}


def test_min_units_holds_a_group_and_the_others_give_more() -> None:
    values = {"a": [1.0] * 6, "b": [5.0] * 6}
    assert Global()(problem_of(values, Budget(units=9, min_units=2))) == {"a": 3, "b": 6}
    assert Global()(problem_of(values, Budget(units=9, min_units=4))) == {"a": 4, "b": 5}


def test_a_group_below_min_units_stays_whole() -> None:
    values = {"a": [1.0, 1.0], "b": [5.0] * 6}
    assert Global()(problem_of(values, Budget(units=6, min_units=3))) == {"a": 2, "b": 4}


def test_all_targets_hold_together() -> None:
    problem = problem_of({"a": [1.0] * 8, "b": [2.0] * 8}, Budget(params=0.7, macs=0.5, units=15))
    counts = Uniform()(problem)
    assert problem.missed(counts) == []
    assert problem_of({"a": [1.0] * 8, "b": [2.0] * 8}, Budget(macs=0.5)).missed(counts) == []


def test_the_highest_scores_stay_and_the_first_of_equal_ones_goes() -> None:
    problem = problem_of({"a": [2, 1, 2, 3, 2], "b": [1.0]}, Budget(units=4))
    assert problem.kept({"a": 2, "b": 1})["a"].mask().tolist() == [False, False, False, True, True]
    assert set(problem.kept({"a": 2, "b": 1})) == {"a"}


def test_of_equal_chunks_that_of_the_earlier_group_goes_first() -> None:
    values = {"a": [1.0] * 3, "b": [1.0] * 3}
    assert Global()(problem_of(values, Budget(units=4))) == {"a": 1, "b": 3}
    assert Uniform()(problem_of(values, Budget(units=5))) == {"a": 2, "b": 3}


def test_sparsity_has_no_meaning() -> None:
    with pytest.raises(BudgetError, match=r"sparsity=0.9 has no meaning at granularity channel\n"):
        problem_of({"a": [1.0]}, Budget(sparsity=0.9))


# -- against a loop that removes one chunk after another --------------------------------------


def steps(problem: Problem, name: str) -> list[int]:
    """Return all allowed counts of a group, the largest first."""
    return [problem.groups[name].size, *problem.smaller_counts(name)[::-1]]


def by_mean(values: Values, name: str, above: int, below: int) -> float:
    lowest = sorted(
        max(-1e300, min(1e300, s)) for s in torch.tensor(values[name]).double().tolist()
    )
    chunk = lowest[len(lowest) - above : len(lowest) - below]
    return sum(chunk) / len(chunk)


def by_share(values: Values, name: str, above: int, below: int) -> float:
    return -(above + below) / 2 / len(values[name])


def one_by_one(problem: Problem, values: Values, next_up: Callable[..., float]) -> dict[str, int]:
    counts = {name: len(scores) for name, scores in values.items()}
    while problem.missed(counts):
        options = []
        for name, count in counts.items():
            lower = [step for step in steps(problem, name) if step < count]
            if lower:
                options.append((next_up(values, name, count, lower[0]), name, lower[0]))
        _, name, count = min(options, key=lambda option: option[0])
        counts[name] = count
    return counts


budgets = st.builds(
    Budget,
    macs=st.sampled_from([None, 0.3, 0.5, 0.8]),
    params=st.sampled_from([None, 0.4, 0.9]),
    units=st.sampled_from([0.3, 0.5, 0.77]),
    min_units=st.integers(1, 6),
    multiple_of=st.integers(1, 5),
)


@given(values=scored_groups(), budget=budgets)
@pytest.mark.parametrize(("allocator", "next_up"), [(Global(), by_mean), (Uniform(), by_share)])
def test_it_is_what_one_by_one_gives(
    allocator: Allocator, next_up: Callable[..., float], values: Values, budget: Budget
) -> None:
    problem = problem_of(values, budget)
    assume(not problem.missed({name: problem.least(name) for name in values}))
    counts = allocator(problem)
    assert counts == one_by_one(problem, values, next_up)
    assert all(count in steps(problem, name) for name, count in counts.items())


@given(values=scored_groups(), budget=budgets)
@pytest.mark.parametrize("allocator", [Global(), Uniform()])
def test_the_kept_units_are_the_highest(
    allocator: Allocator, values: Values, budget: Budget
) -> None:
    problem = problem_of(values, budget)
    assume(not problem.missed({name: problem.least(name) for name in values}))
    for name, kept in problem.kept(allocator(problem)).items():
        order = sorted(range(kept.size), key=lambda i, name=name: values[name][i])
        removed = {i for i, stays in enumerate(kept.mask().tolist()) if not stays}
        assert removed == set(order[: kept.size - kept.count])


def test_only_what_is_free_is_touched() -> None:
    values = {"a": [1.0] * 6, "b": [5.0] * 6}
    counts = Global()(problem_of(values, Budget(units=4), frozen={"a": "model output"}))
    assert counts == {"b": 4}


# -- other ways to allocate are a few lines ---------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Denser(Allocator):
    """Keeps the narrow groups denser, as ERK does."""

    def counts(self, problem: Problem) -> Counts:
        density = {name: 1 / group.size for name, group in problem.free.items()}
        return problem.remove_lowest(within=lambda group: group.name, density=density)


@dataclass(frozen=True, kw_only=True)
class Isomorphic(Allocator):
    """Lets groups of one width compete."""

    def counts(self, problem: Problem) -> Counts:
        return problem.remove_lowest(within=lambda group: str(group.size))


@dataclass(frozen=True, kw_only=True)
class Knapsack(Allocator):
    """Keeps the largest sum of scores, by trying everything."""

    def counts(self, problem: Problem) -> Counts:
        choices = [dict(zip(problem.free, c, strict=True)) for c in self._all(problem)]
        fitting = [counts for counts in choices if not problem.missed(counts)]
        return max(fitting, key=lambda counts: self._value(problem, counts))

    def _all(self, problem: Problem) -> Iterator[tuple[int, ...]]:
        return product(*(steps(problem, name) for name in problem.free))

    def _value(self, problem: Problem, counts: Counts) -> float:
        ordered = {name: problem.scores[name].sort(descending=True).values for name in counts}
        return sum(float(ordered[name][:count].sum()) for name, count in counts.items())


def test_density_keeps_one_pool_denser_than_another() -> None:
    problem = problem_of({"a": [1.0] * 8, "b": [1.0] * 4}, Budget(units=6))
    assert Denser()(problem) == {"a": 3, "b": 3}
    problem = problem_of({"a": [1.0] * 8, "b": [1.0] * 2}, Budget(units=6))
    assert Denser()(problem) == {"a": 4, "b": 2}  # b is whole, a gives the rest


def test_pools_lose_the_same_share_and_compete_inside() -> None:
    values = {"a": [1.0] * 4, "b": [9.0] * 4, "c": [5.0, 6.0]}
    assert Isomorphic()(problem_of(values, Budget(units=5))) == {"a": 0 + 1, "b": 3, "c": 1}


def test_an_allocator_may_pick_counts_its_own_way() -> None:
    values = {"a": [1.0, 2, 3, 9], "b": [1.0, 2, 8, 9], "c": [4.0, 5, 6, 7]}
    problem = problem_of(values, Budget(params=0.5))
    best, ranked = Knapsack()(problem), Global()(problem)
    assert Knapsack()._value(problem, best) >= Knapsack()._value(problem, ranked)
    assert {name: kept.count for name, kept in problem.kept(best).items()}.items() <= best.items()
