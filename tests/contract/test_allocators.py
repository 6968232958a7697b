"""What every allocator must do. Classes are found by themselves: a new one needs no line here."""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from math import inf

import pytest
import torch

import prunus.allocate
from prunus.allocate import Allocator, Budget, Counts, Problem, allocate
from prunus.errors import BudgetError
from prunus.records import Group, Groups, Kept, Member, Scores

for module in pkgutil.iter_modules(prunus.allocate.__path__, "prunus.allocate."):
    importlib.import_module(module.name)

ALL = [
    pytest.param(c(), id=c.__name__)
    for c in Allocator.__subclasses__()
    if c.__module__.startswith("prunus.")
]
SIZES = {"stem": 12, "frozen": 9, "wide": 40, "tiny": 3, "head": 21}
LAYERS = {name: (size, 4, 3, 3) for name, size in SIZES.items()}
HARM = {"stem": 5.0, "wide": 1.0, "tiny": 2.0, "head": 3.0}  # of a group that is all gone
BUDGETS = [
    Budget(params=0.6),
    Budget(macs=0.5, min_units=2),
    Budget(bytes=700, units=0.8, multiple_of=4),
    Budget(units=30, min_units=5, multiple_of=2),
]
ZERO_BUDGETS = [Budget(sparsity=0.07), Budget(params=0.94, min_units=3), Budget(units=33)]
each_allocator = pytest.mark.parametrize("allocator", ALL)
each_budget = pytest.mark.parametrize("budget", BUDGETS, ids=str)
each_zero_budget = pytest.mark.parametrize("budget", ZERO_BUDGETS, ids=str)


class Costs:
    """Layers in a row, each as wide as a group; the costs of a layer grow with both its widths."""

    def params(self, counts: Mapping[str, int]) -> int:
        widths = [counts.get(name, size) for name, size in SIZES.items()]
        return sum(a * b for a, b in zip([1, *widths], [*widths, 1], strict=True))

    def macs(self, counts: Mapping[str, int]) -> int:
        return 7 * self.params(counts) + 90 * counts.get("stem", SIZES["stem"])

    def bytes(self, counts: Mapping[str, int]) -> int:
        return self.params(counts) // 2


def groups_of(granularity: str) -> Groups:
    frozen = {"frozen": "model output"}
    dim = None if granularity == "weight" else 0
    return {
        name: Group(
            name,
            granularity,
            size,
            (Member(name, dim, produces=True),),
            frozen_because=frozen.get(name),
        )
        for name, size in SIZES.items()
    }


def measure(kept: Mapping[str, Kept]) -> float:
    """A model that suffers by how much of each group is gone, squared."""
    return sum(HARM[name] * (1 - one.count / one.size) ** 2 for name, one in kept.items())


def scores() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(size, generator=generator) for name, size in SIZES.items()}


def run(
    allocator: Allocator,
    budget: Budget,
    *,
    granularity: str = "channel",
    score_of: Mapping[str, torch.Tensor] | None = None,
) -> dict[str, Kept]:
    tensors = score_of or scores()
    return allocate(
        groups_of(granularity),
        scores=Scores("Random()", lambda name: iter(tensors[name].split(5))),
        budget=budget,
        allocation=allocator,
        costs=Costs(),
        weights=LAYERS,
        measure=measure,
    )


def figure(target: str, counts: Mapping[str, int]) -> int:
    if target == "units":
        return sum(counts.get(name, size) for name, size in SIZES.items() if name != "frozen")
    return int(getattr(Costs(), target)(counts))


def meets(budget: Budget, counts: Mapping[str, int]) -> bool:
    return all(
        figure(target, counts) <= budget.limit(target, dense=figure(target, {}))
        for target in budget.targets
    )


def counts_of(kept: Mapping[str, Kept]) -> dict[str, int]:
    return {name: which.count for name, which in kept.items()}


# -- the contract -----------------------------------------------------------------------------


@each_allocator
@each_budget
def test_the_budget_is_met(allocator: Allocator, budget: Budget) -> None:
    assert meets(budget, counts_of(run(allocator, budget)))


@each_allocator
@each_budget
def test_floors_and_multiples_hold(allocator: Allocator, budget: Budget) -> None:
    kept = run(allocator, budget)
    assert "frozen" not in kept
    for which in kept.values():
        assert budget.min_units <= which.count < which.size
        assert which.count % budget.multiple_of == 0


@each_allocator
@each_budget
def test_no_more_is_removed_than_the_budget_asks_for(allocator: Allocator, budget: Budget) -> None:
    counts = counts_of(run(allocator, budget))

    def one_chunk_more(name: str) -> dict[str, int]:
        more = (counts[name] // budget.multiple_of + 1) * budget.multiple_of
        return {**counts, name: min(more, SIZES[name])}

    assert not all(meets(budget, one_chunk_more(name)) for name in counts)


@each_allocator
@each_zero_budget
def test_weights_are_removed_to_the_last_one(allocator: Allocator, budget: Budget) -> None:
    kept = run(allocator, budget, granularity="weight")
    zeros = sum(which.size - which.count for which in kept.values())
    target = budget.targets[0]
    dense = figure("units" if target == "units" else "params", {})
    assert zeros == dense - budget.limit(target, dense=dense)
    assert all(which.count >= budget.min_units for which in kept.values())


@each_allocator
@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_the_highest_scores_stay(allocator: Allocator, granularity: str) -> None:
    kept, score_of = run(allocator, Budget(units=0.5), granularity=granularity), scores()
    for name, which in kept.items():
        stays = which.mask()
        assert score_of[name][stays].min() > score_of[name][~stays].max()


@each_allocator
@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_units_are_known_by_their_scores_alone(allocator: Allocator, granularity: str) -> None:
    order = {name: torch.arange(size - 1, -1, -1) for name, size in SIZES.items()}
    shuffled = {name: score[order[name]] for name, score in scores().items()}
    before = run(allocator, Budget(units=0.5), granularity=granularity)
    after = run(allocator, Budget(units=0.5), granularity=granularity, score_of=shuffled)
    assert before.keys() == after.keys()
    for name in before:
        assert torch.equal(after[name].mask(), before[name].mask()[order[name]])


@each_allocator
@pytest.mark.parametrize("score", [0.0, inf, -inf])
@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_equal_scores_are_decided_all_the_same(
    allocator: Allocator, score: float, granularity: str
) -> None:
    score_of = {name: torch.full((size,), score) for name, size in SIZES.items()}
    kept = run(allocator, Budget(units=20), granularity=granularity, score_of=score_of)
    assert figure("units", counts_of(kept)) == 20
    for which in kept.values():  # of equal ones the first go
        assert not which.mask()[: which.size - which.count].any()


@each_allocator
def test_the_answer_is_always_the_same(allocator: Allocator) -> None:
    first, second = (run(allocator, Budget(macs=0.5)) for _ in range(2))
    assert all(torch.equal(first[name].bits, second[name].bits) for name in first | second)


@each_allocator
def test_it_is_a_frozen_record_and_documented(allocator: Allocator) -> None:
    kind = type(allocator)
    assert is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "Example:" in (kind.__doc__ or "")


# -- the contract can fail --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Careless(Allocator):
    """Wrong on purpose: forgets min_units, multiple_of and what is frozen."""

    def counts(self, problem: Problem) -> Counts:
        return dict.fromkeys(problem.groups, 1)


@dataclass(frozen=True, kw_only=True)
class Generous(Allocator):
    """Wrong on purpose: keeps all but one."""

    def counts(self, problem: Problem) -> Counts:
        return {"wide": SIZES["wide"] - 1}


@dataclass(frozen=True, kw_only=True)
class Wasteful(Allocator):
    """Wrong on purpose: removes all that may go."""

    def counts(self, problem: Problem) -> Counts:
        return {name: problem.least(name) for name in problem.free}


@dataclass(frozen=True, kw_only=True)
class Positional(Allocator):
    """Wrong on purpose: takes one more from the group whose first unit scores lowest."""

    def counts(self, problem: Problem) -> Counts:
        counts = problem.remove_lowest(within=lambda group: group.name)
        first = min(("stem", "wide", "head"), key=lambda name: float(problem.scores[name][0]))
        return {**counts, first: counts[first] - 1}


def test_a_careless_one_fails() -> None:
    with pytest.raises(BudgetError, match="keeps 1 units of group 'stem'"):
        test_floors_and_multiples_hold(Careless(), BUDGETS[3])
    with pytest.raises(BudgetError, match="keeps 1 units of group 'frozen'"):
        test_the_budget_is_met(Careless(), BUDGETS[0])


@pytest.mark.parametrize("budget", BUDGETS[:2], ids=str)
def test_a_generous_one_fails(budget: Budget) -> None:
    with pytest.raises(BudgetError, match="keeps too much"):
        test_the_budget_is_met(Generous(), budget)


def test_a_wasteful_one_fails() -> None:
    with pytest.raises(AssertionError):
        test_no_more_is_removed_than_the_budget_asks_for(Wasteful(), BUDGETS[0])
    with pytest.raises(AssertionError):
        test_weights_are_removed_to_the_last_one(Wasteful(), ZERO_BUDGETS[0])


def test_a_positional_one_fails() -> None:
    with pytest.raises(AssertionError):
        test_units_are_known_by_their_scores_alone(Positional(), "channel")


def test_all_were_found_and_have_a_name() -> None:
    found = {type(param.values[0]) for param in ALL}
    assert found == {type(prunus.allocate.get(name)) for name in prunus.allocate.names()}
    assert len(found) >= 8
