"""Every allocator with numbers that can be followed by hand."""

import sys
from collections.abc import Mapping, Sequence
from itertools import product
from math import isclose, prod

import pytest
import torch
from allocation_cases import Chain, Numbers, TimedChain, scores_of
from hypothesis import given, settings
from hypothesis import strategies as st

from prunus.allocate import (
    ERK,
    LAMP,
    Allocator,
    Budget,
    Global,
    Isomorphic,
    Knapsack,
    Problem,
    Sensitivity,
    Uniform,
    UnifPlus,
)
from prunus.allocate.fit import Structured
from prunus.allocate.weights import Weights
from prunus.errors import BudgetError, DataError
from prunus.records import Group, Kept, Member

Values = Mapping[str, Sequence[float]]
EQUAL = (1.0,)


def zeroed(
    shapes: Mapping[str, tuple[int, ...]], budget: Budget, values: Values | None = None
) -> Problem:
    """Layers of those shapes, all scores equal unless given."""
    values = values or {}
    sizes = {name: prod(shape) for name, shape in shapes.items()}
    members = {name: (Member(name, None, produces=True),) for name in sizes}
    return Weights(
        groups={name: Group(name, "weight", size, members[name]) for name, size in sizes.items()},
        scores=scores_of({name: values.get(name, EQUAL * size) for name, size in sizes.items()}),
        budget=budget,
        costs=Numbers(sum(sizes.values())),
        weights=shapes,
    )


def removed(values: Values, budget: Budget, **settings: object) -> Structured:
    """Layers in a row, the units of each group made by one and read by the next."""
    names = list(values)
    shapes = {name: (len(values[name]), 4) for name in names} | {
        "last": (10, len(values[names[-1]]))
    }
    reader = dict(zip(names, [*names[1:], "last"], strict=True))
    groups = {
        name: Group(
            name,
            "channel",
            len(values[name]),
            (Member(name, 0, produces=True), Member(reader[name], 1, reads=True)),
        )
        for name in names
    }
    settings.setdefault("costs", Chain({name: len(values[name]) for name in names}))
    settings.setdefault("weights", shapes)
    return Structured(groups=groups, scores=scores_of(values), budget=budget, **settings)


# -- ERK --------------------------------------------------------------------------------------


def test_erk_keeps_small_layers_denser() -> None:
    problem = zeroed({"a": (4, 4), "b": (4, 12)}, Budget(params=24))
    assert ERK()(problem) == {"a": 8, "b": 16}  # 8/16 to 16/48 is 3 to 2


def test_erk_of_kernels_adds_their_height_and_width() -> None:
    problem = zeroed({"a": (2, 2, 3, 3), "b": (4, 5)}, Budget(params=19))
    assert ERK()(problem) == {"a": 10, "b": 9}  # of 36 and 20: 2 + 2 + 3 + 3 and 4 + 5


def test_erk_keeps_a_layer_whole_that_would_be_more_than_whole() -> None:
    problem = zeroed({"a": (2, 2), "b": (20, 20)}, Budget(params=84))
    assert ERK()(problem) == {"a": 4, "b": 80}


def test_erk_agrees_with_its_equation() -> None:
    shapes = {"a": (16, 3, 3, 3), "b": (32, 16, 3, 3), "c": (10, 32)}
    counts = ERK()(zeroed(shapes, Budget(params=2000)))
    share = {name: count / prod(shapes[name]) for name, count in counts.items()}
    assert share["c"] == share["a"] == 1.0
    assert counts["b"] == 2000 - 432 - 320


def test_erk_of_channels_gives_each_end_half_of_a_layers_density() -> None:
    values = {"a": EQUAL * 100, "b": EQUAL * 100}
    shapes = {"a": (100, 4), "b": (100, 100), "last": (10, 100)}
    problem = removed(values, Budget(units=100), weights=shapes)
    density = {"a": 104 / 400, "b": 200 / 10000, "last": 110 / 1000}
    end = {name: value**0.5 for name, value in density.items()}
    expected = {"a": (end["a"] * end["b"]) ** 0.5, "b": (end["b"] * end["last"]) ** 0.5}
    counts = ERK()(problem)
    assert isclose(counts["a"] / counts["b"], expected["a"] / expected["b"], rel_tol=0.05)


@pytest.mark.parametrize("allocator", [ERK(), UnifPlus()])
def test_without_layers_there_is_nothing_to_go_by(allocator: Allocator) -> None:
    with pytest.raises(BudgetError, match=r"needs the layers of the model.*\n.*\n.*uniform"):
        allocator(removed({"a": EQUAL * 4}, Budget(units=2), weights={}))


# -- Unif+ ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("keep", "counts"), [(16, (10, 3, 3)), (13, (10, 1, 2))])
def test_unif_plus_spares_the_first_and_the_last_layer(keep: int, counts: tuple[int, ...]) -> None:
    problem = zeroed(dict.fromkeys("abc", (2, 5)), Budget(params=keep))
    assert tuple(UnifPlus()(problem).values()) == counts


def test_unif_plus_goes_by_the_order_in_which_layers_run() -> None:
    shapes = {"z": (2, 5), "a": (2, 5), "m": (2, 5)}
    problem = zeroed(shapes, Budget(params=16))
    assert UnifPlus()(problem)["z"] == 10


def test_unif_plus_of_channels_spares_what_the_first_layer_makes_and_the_last_reads() -> None:
    problem = removed({"a": EQUAL * 10, "b": EQUAL * 10, "c": EQUAL * 10}, Budget(units=13))
    assert UnifPlus()(problem) == {"a": 10, "b": 1, "c": 2}


def test_unif_plus_says_what_it_holds() -> None:
    problem = zeroed(dict.fromkeys("abc", (2, 5)), Budget(params=12))
    with pytest.raises(BudgetError, match=r"params=12 cannot be met by UnifPlus\(last=0.2\)\n.*13"):
        UnifPlus()(problem)


# -- isomorphic -------------------------------------------------------------------------------


def test_only_like_layers_compete() -> None:
    shapes = {"conv1": (1, 1, 1, 2), "fc": (1, 2), "conv2": (1, 1, 1, 2)}
    values = {"conv1": [1.0, 2], "fc": [9.0, 8], "conv2": [3.0, 4]}
    problem = zeroed(shapes, Budget(params=4, min_units=1), values)
    assert Global()(problem) == {"conv1": 1, "fc": 2, "conv2": 1}
    assert Isomorphic()(problem) == {"conv1": 1, "fc": 1, "conv2": 2}


def test_like_groups_of_channels_may_differ_in_width() -> None:
    values = {"a": [5.0, 6, 7, 8], "b": [1.0, 2]}
    assert Isomorphic()(removed(values, Budget(units=5))) == {"a": 4, "b": 1}


# -- LAMP -------------------------------------------------------------------------------------


def test_lamp_compares_shares_of_what_is_no_smaller() -> None:
    values = {"a": [1.0, 2], "b": [30.0, 40]}
    assert LAMP()(zeroed({"a": (1, 2), "b": (1, 2)}, Budget(params=3), values)) == {"a": 1, "b": 2}
    assert LAMP()(removed(values, Budget(units=2))) == {"a": 1, "b": 1}


def test_lamp_and_a_floor_save_a_layer_that_a_global_ranking_empties() -> None:
    values = {"a": [float(i + 1) for i in range(100)], "b": [0.5] * 100}
    problem = removed(values, Budget(units=100, min_units=1))
    assert Global()(problem)["b"] <= 1
    assert LAMP()(problem)["b"] > 20
    assert Global(floor=0.2)(problem)["b"] == 10  # of the 50 that uniform leaves


@pytest.mark.parametrize("kind", [Global, Isomorphic, Knapsack, LAMP, Sensitivity])
@pytest.mark.parametrize("keep", [2, 9, 30])
def test_a_whole_floor_is_uniform_at_any_budget(kind: type[Allocator], keep: int) -> None:
    values = {"a": [float(i) for i in range(20)], "b": [1e3] * 20}
    problem = removed(values, Budget(units=keep), measure=suffers({"a": 1, "b": 30}))
    assert kind(floor=1.0)(problem) == Uniform()(problem)  # type: ignore[call-arg]


def test_a_floor_is_a_share() -> None:
    with pytest.raises(BudgetError, match=r"Global\(floor=1.5\) means nothing"):
        Global(floor=1.5)


# -- sensitivity ------------------------------------------------------------------------------


def suffers(weight: Mapping[str, float]) -> object:
    """Return a measure: by how much of a group is gone times its weight."""
    return lambda kept: sum(weight[n] * (1 - one.count / one.size) for n, one in kept.items())


def test_groups_are_cut_to_one_height_of_their_curves() -> None:
    values = {"a": EQUAL * 8, "b": EQUAL * 8}
    problem = removed(values, Budget(units=8), measure=suffers({"a": 1, "b": 3}))
    assert Sensitivity()(problem) == {"a": 2, "b": 6}  # 6/8 * 1 = 2/8 * 3


def test_past_the_last_measured_share_a_curve_goes_on() -> None:
    values = {"a": EQUAL * 8, "b": EQUAL * 8}
    problem = removed(values, Budget(units=8), measure=suffers({"a": 1, "b": 3}))
    assert Sensitivity(shares=(0.75,))(problem) == {"a": 2, "b": 6}


def test_a_model_that_breaks_is_as_bad_as_it_gets() -> None:
    def measure(kept: Mapping[str, Kept]) -> float:
        return float("nan") if "a" in kept else 1e6

    problem = removed({"a": EQUAL * 8, "b": EQUAL * 8}, Budget(units=9), measure=measure)
    assert Sensitivity(floor=0.0)(problem) == {"a": 8, "b": 1}


def test_sensitivity_needs_data() -> None:
    with pytest.raises(DataError, match=r"needs data to measure on(.|\n)*data=loader"):
        Sensitivity()(removed({"a": EQUAL * 8}, Budget(units=4)))


# -- knapsack ---------------------------------------------------------------------------------


class Priced:
    """A unit of each group has a price of its own."""

    def __init__(self, prices: Mapping[str, int], sizes: Mapping[str, int]) -> None:
        self.prices, self.sizes = prices, sizes

    def params(self, counts: Mapping[str, int]) -> int:
        return sum(p * counts.get(name, self.sizes[name]) for name, p in self.prices.items())

    macs = bytes = params


def priced(values: Values, prices: Mapping[str, int], budget: Budget) -> Structured:
    sizes = {name: len(scores) for name, scores in values.items()}
    return removed(values, budget, costs=Priced(prices, sizes))


def best(problem: Problem) -> float:
    """Return the largest sum of scores that any choice within the budget keeps."""
    allowed = [[*problem.smaller_counts(n), group.size] for n, group in problem.free.items()]
    choices = (dict(zip(problem.free, counts, strict=True)) for counts in product(*allowed))
    return max(worth(problem, counts) for counts in choices if not problem.missed(counts))


def worth(problem: Problem, counts: Mapping[str, int]) -> float:
    ordered = {name: problem.scores[name].sort(descending=True).values for name in counts}
    return sum(float(ordered[name][:count].double().sum()) for name, count in counts.items())


def test_the_knapsack_spends_where_it_pays() -> None:
    values, prices = {"a": [5.0, 4], "b": [6.0, 1]}, {"a": 1, "b": 2}
    assert Knapsack()(priced(values, prices, Budget(params=4))) == {"a": 2, "b": 1}
    assert Knapsack()(priced(values, prices, Budget(params=3))) == {"a": 1, "b": 1}


small_values = st.lists(
    st.lists(st.integers(0, 50).map(float), min_size=1, max_size=6), min_size=1, max_size=4
).map(lambda lists: {f"g{i}": scores for i, scores in enumerate(lists)})
small_budgets = st.builds(
    Budget,
    params=st.floats(0.2, 0.95).map(lambda share: round(share, 3)),
    min_units=st.integers(1, 2),
    multiple_of=st.integers(1, 2),
)


@settings(max_examples=60)
@given(values=small_values, budget=small_budgets, prices=st.lists(st.integers(1, 9), min_size=4))
def test_the_knapsack_is_optimal_where_costs_add_up(
    values: Values, budget: Budget, prices: list[int]
) -> None:
    problem = priced(values, dict(zip(values, prices, strict=False)), budget)
    if not problem.missed({name: problem.least(name) for name in problem.free}):
        assert worth(problem, Knapsack()(problem)) == pytest.approx(best(problem), abs=1e-3)


def test_the_knapsack_is_near_the_optimum_where_costs_are_products() -> None:
    generator = torch.Generator().manual_seed(0)
    shares = []
    for _ in range(20):
        sizes = torch.randint(2, 9, (4,), generator=generator).tolist()
        values = {f"g{i}": torch.rand(n, generator=generator).tolist() for i, n in enumerate(sizes)}
        problem = removed(values, Budget(macs=0.4))
        shares.append(worth(problem, Knapsack()(problem)) / best(problem))
    assert min(shares) > 0.95
    assert sum(shares) / len(shares) > 0.99


def test_the_knapsack_holds_several_targets() -> None:
    values = {"a": [9.0, 8, 7, 6], "b": [5.0, 4, 3, 2], "c": [1.0, 1, 1, 1]}
    problem = removed(values, Budget(macs=0.5, params=0.6, multiple_of=2))
    counts = Knapsack()(problem)
    assert worth(problem, counts) == best(problem)


def test_with_few_levels_the_rest_is_filled_up() -> None:
    values = {name: torch.linspace(1, 2, 40).tolist() for name in "abc"}
    few = Knapsack(levels=20)(removed(values, Budget(params=0.5)))
    problem = removed(values, Budget(params=0.5))
    assert worth(problem, few) > 0.97 * worth(problem, Knapsack()(problem))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(st.integers(1, 50).map(float), min_size=5, max_size=12), min_size=1, max_size=3
    ),
    st.integers(35, 95),
)
def test_of_latency_in_steps_the_knapsack_keeps_nearly_all_that_can_be_kept(
    lists: list[list[float]], percent: int
) -> None:
    values = {f"g{i}": scores for i, scores in enumerate(lists)}
    costs = TimedChain({name: len(scores) for name, scores in values.items()})
    problem = removed(values, Budget(latency=percent / 100), costs=costs)
    if problem.missed({name: problem.least(name) for name in values}):
        return
    counts = Knapsack()(problem)
    assert costs.latency(counts) <= problem.limits["latency"]
    assert worth(problem, counts) >= 0.9 * best(problem)


def test_of_latency_in_steps_the_knapsack_stops_at_a_step() -> None:
    values = {"a": [float(9 + i) for i in range(12)]}
    costs = TimedChain({"a": 12})
    problem = removed(values, Budget(latency=0.8), costs=costs)
    assert Knapsack()(problem) == {"a": 8}  # 9 would take as long as 12
    assert costs.latency({"a": 9}) == costs.latency({}) > problem.limits["latency"]


def test_where_weights_are_zeroed_the_knapsack_is_the_global_ranking() -> None:
    values = {"a": [4.0, 1, 2, 3], "b": [0.5, 6.0, 7, 8]}
    problem = zeroed({"a": (2, 2), "b": (2, 2)}, Budget(params=5), values)
    assert Knapsack()(problem) == Global()(problem)


def test_a_knapsack_of_no_levels_means_nothing() -> None:
    with pytest.raises(BudgetError, match="levels must be 2 or more"):
        Knapsack(levels=1)


def test_without_scipy_the_knapsack_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(BudgetError, match=r"needs SciPy, which is not installed\n.*pip install"):
        Knapsack()(removed({"a": [1.0, 2, 3]}, Budget(units=2)))
