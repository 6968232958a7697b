from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from allocation_cases import Numbers, groups_of, scored_groups, scores_of
from hypothesis import given
from hypothesis import strategies as st

from prunus.allocate import Allocator, Budget, Counts, Global, Problem, Uniform
from prunus.allocate.weights import Weights, share_out
from prunus.errors import BudgetError
from prunus.records import Scores

Values = Mapping[str, list[float]]


def problem_of(values: Values, budget: Budget, *, others: int = 0, piece: int = 7) -> Weights:
    sizes = {name: len(scores) for name, scores in values.items()}
    return Weights(
        groups=groups_of(sizes, granularity="weight"),
        scores=scores_of(values, piece=piece),
        budget=budget,
        costs=Numbers(sum(sizes.values()) + others),
    )


def masks(problem: Weights, allocator: Allocator) -> dict[str, list[bool]]:
    return {n: kept.mask().tolist() for n, kept in problem.kept(allocator(problem)).items()}


# -- by hand ----------------------------------------------------------------------------------


def test_global_takes_the_lowest_of_the_model() -> None:
    problem = problem_of({"a": [1, 9, 2, 8], "b": [7, 3, 6, 5], "c": [9, 9]}, Budget(units=0.7))
    assert Global()(problem) == {"a": 2, "b": 3, "c": 2}
    assert masks(problem, Global()) == {
        "a": [False, True, False, True],
        "b": [True, False, True, True],
    }


def test_uniform_takes_the_same_share_exactly() -> None:
    problem = problem_of({"a": [9.0] * 5, "b": [1.0] * 10, "c": [4.0] * 3}, Budget(units=7))
    assert Uniform()(problem) == {"a": 2, "b": 4, "c": 1}  # 1.94, 3.89, 1.17


@pytest.mark.parametrize(
    ("budget", "zeros"),
    [
        (Budget(params=0.5), 10),
        (Budget(sparsity=0.5), 10),
        (Budget(sparsity=0.41), 9),  # 8.2 would be too few
        (Budget(params=12), 8),
        (Budget(units=0.5), 6),
        (Budget(params=0.9, sparsity=0.25, units=11), 5),
    ],
)
@pytest.mark.parametrize("allocator", [Global(), Uniform()])
def test_the_budget_says_how_many_go(budget: Budget, zeros: int, allocator: Allocator) -> None:
    problem = problem_of({"a": list(range(8)), "b": list(range(4))}, budget, others=8)
    assert sum(allocator(problem).values()) == 12 - zeros


def test_min_units_holds_a_group_and_the_others_give_more() -> None:
    values = {"a": [1.0] * 6, "b": [5.0] * 6}
    assert Global()(problem_of(values, Budget(units=8))) == {"a": 2, "b": 6}
    problem = problem_of(values, Budget(units=8, min_units=3))
    assert Global()(problem) == {"a": 3, "b": 5}
    assert masks(problem, Global())["a"] == [False] * 3 + [True] * 3


@pytest.mark.parametrize("name", ["macs", "bytes"])
def test_zeros_cost_the_same(name: str) -> None:
    with pytest.raises(
        BudgetError, match=rf"{name}=0.5 has no meaning.*\n.*zeros in a dense tensor"
    ):
        problem_of({"a": [1.0]}, Budget(**{name: 0.5}))


def test_multiples_have_no_meaning() -> None:
    with pytest.raises(BudgetError, match=r"multiple_of=8 has no meaning at granularity weight"):
        problem_of({"a": [1.0]}, Budget(params=0.5, multiple_of=8))


# -- properties -------------------------------------------------------------------------------


@given(values=scored_groups(), share=st.integers(1, 100), piece=st.integers(1, 40))
@pytest.mark.parametrize("allocator", [Global(), Uniform()])
def test_any_piece_size_gives_the_same(
    allocator: Allocator, values: Values, share: int, piece: int
) -> None:
    total = sum(map(len, values.values()))
    budget = Budget(units=max(len(values), total * share // 100))
    whole = problem_of(values, budget, piece=1000)
    assert masks(problem_of(values, budget, piece=piece), allocator) == masks(whole, allocator)


@given(values=scored_groups(), share=st.integers(1, 100), floor=st.integers(1, 9))
@pytest.mark.parametrize("allocator", [Global(), Uniform()])
def test_exactly_the_lowest_go_and_no_more(
    allocator: Allocator, values: Values, share: int, floor: int
) -> None:
    least = sum(min(floor, len(scores)) for scores in values.values())
    total = sum(map(len, values.values()))
    budget = Budget(units=max(least, total * share // 100), min_units=floor)
    problem = problem_of(values, budget)
    counts = allocator(problem)
    assert sum(counts.values()) == budget.units
    assert all(problem.allows(name, count) for name, count in counts.items())
    for name, kept in problem.kept(counts).items():
        order = sorted(range(kept.size), key=lambda i, name=name: values[name][i])
        removed = {i for i, stays in enumerate(kept.mask().tolist()) if not stays}
        assert removed == set(order[: kept.size - counts[name]])


@pytest.mark.parametrize("allocator", [Global(), Uniform()])
def test_scores_are_read_three_times(allocator: Allocator) -> None:
    problem = problem_of({"a": list(range(9)), "b": list(range(9))}, Budget(units=0.5))
    reads: Counter[str] = Counter()

    def stream(name: str) -> Iterator[torch.Tensor]:
        reads[name] += 1
        return problem.scores.stream(name)

    counted = replace(problem, scores=Scores("Counted()", stream))
    counted.kept(allocator(counted))
    assert reads == {"a": 3, "b": 3}


def test_global_is_one_threshold_over_all_groups() -> None:
    values = {"a": torch.randn(3000).tolist(), "b": (3 * torch.randn(1000)).tolist()}
    problem = problem_of(values, Budget(units=0.3), piece=512)
    kept = masks(problem, Global())
    scores = torch.tensor(values["a"] + values["b"])
    mask = torch.tensor(kept["a"] + kept["b"])
    assert scores[mask].min() > scores[~mask].max()
    assert int(mask.sum()) == 1200


# -- counts that an allocator picked its own way ----------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Fixed(Allocator):
    """Keeps one of each, whatever a ranking said before."""

    def counts(self, problem: Problem) -> Counts:
        problem.remove_lowest(within=lambda _: "model")
        return {"a": 1, "b": 4}


def test_any_counts_are_cut_at_the_lowest() -> None:
    problem = problem_of({"a": [3, 1, 4, 1], "b": [1, 2, 3, 4]}, Budget(units=5))
    assert masks(problem, Fixed()) == {"a": [False, False, True, False]}


# -- sharing out ------------------------------------------------------------------------------

pools = st.lists(
    st.tuples(st.integers(1, 50), st.integers(1, 50), st.floats(0.01, 100)), min_size=1, max_size=6
)


@given(pools=pools, data=st.data())
def test_shares_are_exact_and_in_proportion(
    pools: list[tuple[int, int, float]], data: st.DataObject
) -> None:
    size = {str(i): n for i, (n, _, _) in enumerate(pools)}
    least = {str(i): min(n, low) for i, (n, low, _) in enumerate(pools)}
    density = {str(i): d for i, (_, _, d) in enumerate(pools)}
    total = data.draw(st.integers(sum(least.values()), sum(size.values())))
    kept = share_out(total, size=size, least=least, density=density)
    assert sum(kept.values()) == total
    assert all(least[pool] <= kept[pool] <= size[pool] for pool in size)
    inside = [pool for pool in size if least[pool] < kept[pool] < size[pool]]
    scales = [
        ((kept[p] - 1) / density[p] / size[p], (kept[p] + 1) / density[p] / size[p]) for p in inside
    ]
    # one scale explains all counts that no bound holds, each rounded by less than one unit
    assert not scales or max(low for low, _ in scales) <= min(high for _, high in scales)


def test_dense_pools_fill_up_first() -> None:
    size, least = {"a": 100, "b": 10}, {"a": 1, "b": 1}
    assert share_out(60, size=size, least=least, density={"a": 1, "b": 4}) == {"a": 50, "b": 10}
    assert share_out(14, size=size, least=least, density={"a": 1, "b": 4}) == {"a": 10, "b": 4}
