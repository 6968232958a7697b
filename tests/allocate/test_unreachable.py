import re

import pytest
from allocation_cases import Chain, Numbers, groups_of, scores_of
from hypothesis import given
from hypothesis import strategies as st

from prunus.allocate import Budget, allocate
from prunus.errors import BudgetError
from prunus.records import Kept


def run(
    sizes: dict[str, int],
    budget: Budget,
    *,
    frozen: dict[str, str] | None = None,
    granularity: str = "channel",
    others: int = 0,
) -> dict[str, Kept]:
    return allocate(
        groups_of(sizes, granularity=granularity, frozen=frozen),
        scores=scores_of({name: [1.0] * size for name, size in sizes.items()}),
        budget=budget,
        allocation="global",
        costs=Chain(sizes) if granularity == "channel" else Numbers(sum(sizes.values()) + others),
    )


def test_the_message_in_full() -> None:
    with pytest.raises(BudgetError, match=r"params=0\.05 cannot be met") as caught:
        run({"a": 64, "b": 64}, Budget(params=0.05, min_units=8), frozen={"b": "model output"})
    assert str(caught.value) == (
        "params=0.05 cannot be met: the smallest model that keeps 8 units per group has 0.239 of "
        "the parameters (1.18 k of 4.93 k)\n"
        "  why:  1 of 2 groups is frozen: 'b' (model output)\n"
        "  hint: ask for params>=0.239, or lower min_units, or free a group: "
        "prunus.explain(model, example_inputs) shows them all"
    )


def test_many_frozen_groups_are_cut_short() -> None:
    sizes = {f"g{i}": 4 for i in range(8)}
    frozen = {f"g{i}": "literal size" for i in range(7)}
    with pytest.raises(
        BudgetError, match=r"7 of 8 groups are frozen: 'g0' .*'g3' \(.*\) and 3 more"
    ):
        run(sizes, Budget(units=1, params=5), frozen=frozen)


def test_without_frozen_groups_the_floors_hold() -> None:
    with pytest.raises(BudgetError, match=r"keeps 1 unit per group has .*\n.*is down to its least"):
        run({"a": 8, "b": 8}, Budget(macs=0.001))


def test_all_missed_targets_are_named() -> None:
    with pytest.raises(BudgetError, match=r"^params=9, units=2 cannot.*parameters.* and .* units"):
        run({"a": 8, "b": 8}, Budget(params=9, macs=0.9, units=2, multiple_of=4))


def test_where_nothing_can_go_nothing_smaller_is_offered() -> None:
    with pytest.raises(
        BudgetError, match=r"no group of the model may lose units\n.*\n  hint: prunus.explain"
    ):
        run({"a": 8}, Budget(macs=0.5), frozen={"a": "model output"})


HINT = re.compile(r"(\w+)[<>]=([\d.]+)")
channel_budgets = st.builds(
    Budget,
    params=st.sampled_from([None, 2, 0.001]),
    macs=st.sampled_from([None, 5, 0.0001]),
    bytes=st.sampled_from([None, 3, 0.01]),
    units=st.sampled_from([1, 0.001]),
    min_units=st.integers(2, 9),
    multiple_of=st.integers(1, 4),
)
sizes = st.lists(st.integers(10, 90), min_size=1, max_size=4).map(
    lambda values: {f"g{i}": value for i, value in enumerate(values)}
)


@given(sizes=sizes, budget=channel_budgets)
def test_what_the_hint_says_can_be_met(sizes: dict[str, int], budget: Budget) -> None:
    with pytest.raises(BudgetError, match="cannot be met") as caught:
        run(sizes, budget)
    asked = {
        name: float(number) if "." in number else int(number)
        for name, number in HINT.findall(caught.value.hint)
    }
    assert run(sizes, Budget(**asked, min_units=budget.min_units, multiple_of=budget.multiple_of))


@given(sizes=sizes, others=st.integers(0, 10_000), target=st.sampled_from(["params", "sparsity"]))
def test_what_the_hint_says_can_be_met_by_zeros(
    sizes: dict[str, int], others: int, target: str
) -> None:
    value = {"params": 1, "sparsity": 0.99999}[target]
    with pytest.raises(BudgetError, match=r"has .* of the parameters not zero") as caught:
        run(sizes, Budget(**{target: value}, min_units=2), granularity="weight", others=others)
    ((name, number),) = HINT.findall(caught.value.hint)
    asked = Budget(**{name: float(number) if "." in number else int(number)}, min_units=2)
    assert run(sizes, asked, granularity="weight", others=others)
