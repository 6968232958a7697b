from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunus.allocate import Budget
from prunus.errors import BudgetError


@pytest.mark.parametrize(
    ("target", "text", "expected"),
    [
        ("macs", "1.5 G", 1_500_000_000),
        ("macs", "1.5g", 1_500_000_000),
        ("params", "500k", 500_000),
        ("params", "1.2B", 1_200_000_000),
        ("params", "0.29 k", 290),
        ("params", "64", 64),
        ("bytes", "12 MB", 12_000_000),
        ("bytes", "12 MiB", 12 * 2**20),
        ("bytes", "2GiB", 2 * 2**30),
        ("bytes", "12 m", 12_000_000),
        ("bytes", "800 B", 800),
        ("units", "1e3 k", 1_000_000),
        ("latency", "8 ms", 8_000_000),
        ("latency", "8.25MS", 8_250_000),
        ("latency", "0.5 s", 500_000_000),
        ("latency", "35us", 35_000),
        ("latency", "7 ns", 7),
    ],
)
def test_text_with_a_unit_is_absolute(target: str, text: str, expected: int) -> None:
    budget = Budget(**{target: text})
    assert budget.limit(target, dense=10**12) == expected
    assert not budget.relative(target)


@given(st.integers(1, 1000))
def test_fractions_are_the_decimals_that_were_typed(thousandths: int) -> None:
    budget = Budget(params=thousandths / 1000)
    assert budget.limit("params", dense=1000) == thousandths
    assert budget.relative("params")


def test_text_without_a_unit_means_what_the_number_means() -> None:
    assert Budget(macs="0.25").limit("macs", dense=1000) == 250
    assert Budget(macs="25").limit("macs", dense=1000) == 25


def test_sparsity_limits_what_is_not_zero() -> None:
    assert Budget(sparsity=0.9).limit("sparsity", dense=1000) == 100
    assert Budget(sparsity=0.9).limit("sparsity", dense=1009) == 100  # rounds to more zeros


@pytest.mark.parametrize("value", [0, -1, 0.0, -0.5, 1.5, True, float("nan"), None.__class__])
def test_a_value_that_means_nothing(value: Any) -> None:
    with pytest.raises(
        BudgetError, match=r"macs=.* means nothing\n  why:  a float is the fraction"
    ):
        Budget(macs=value)


@pytest.mark.parametrize(
    "text", ["", "much", "-1 G", "1.5 X", "1.2.3 G", "1 MB", "0 G", "0.5 0.5", ".", "inf", "50 %"]
)
def test_text_that_means_nothing(text: str) -> None:
    with pytest.raises(BudgetError, match=r"macs='.*' means nothing"):
        Budget(macs=text)


@pytest.mark.parametrize("value", [8, 8.0, 1.5, 0, True, "8", "8 MB", "8 m", "0 ms", "0.1 ns", ""])
def test_a_time_is_text_with_its_unit(value: Any) -> None:
    with pytest.raises(BudgetError, match=r"latency=.* means nothing\n.*unit\n.*latency=\"8 ms\""):
        Budget(latency=value)


def test_a_share_of_the_latency() -> None:
    assert Budget(latency=0.6).limit("latency", dense=10_000_000) == 6_000_000
    assert Budget(latency="0.6").relative("latency")


def test_the_hint_for_a_large_float_can_be_typed() -> None:
    with pytest.raises(BudgetError, match=r"hint: macs=2000000000$"):
        Budget(macs=2e9)


@pytest.mark.parametrize("value", [0.0, 1.0, 1, 2, "10 k", True])
def test_sparsity_is_a_fraction_below_one(value: Any) -> None:
    with pytest.raises(
        BudgetError, match=r"sparsity=.* means nothing\n.*a float above 0 and below 1"
    ):
        Budget(sparsity=value)


@pytest.mark.parametrize("name", ["min_units", "multiple_of"])
@pytest.mark.parametrize("value", [0, -8, 2.0, True])
def test_numbers_of_units_are_positive_ints(name: str, value: Any) -> None:
    with pytest.raises(BudgetError, match=rf"{name}=.* means nothing\n  why:  .* at least 1"):
        Budget(macs=0.5, **{name: value})


def test_one_target_must_be_given() -> None:
    with pytest.raises(BudgetError, match=r"the budget has no target\n  why:  one of params, macs"):
        Budget(min_units=8)


def test_it_prints_as_it_was_given() -> None:
    assert str(Budget(macs=0.5)) == "macs=0.5"
    assert str(Budget(bytes="12 MB", units=64, min_units=8)) == "bytes=12 MB, units=64, min_units=8"


def test_its_fields_are_plain_data() -> None:
    budget = Budget(macs="1.5 G", params=0.5, multiple_of=8)
    assert Budget(**asdict(budget)) == budget
