"""What was predicted and what was measured, in words."""

import re
from dataclasses import replace

import pytest

from prunus.cost import LatencyTable
from prunus.cost.forecast import forecast
from prunus.cost.timing import machine
from prunus.records import Latency
from prunus.versions import versions


def latency(median: float, *, spread: float = 0.01) -> Latency:
    lower, upper = median * (1 - spread), median * (1 + spread)
    return Latency(median, lower, upper, runs=15, batch=8, threads=2, device="cpu")


TABLE = LatencyTable(
    curves={}, dense=latency(10.0), scale=1.0, rest=0.0, unmeasured=("cumsum",),
    provenance={**versions(), **machine()},
)  # fmt: skip


def said(after: Latency, *, table: LatencyTable = TABLE, before: float = 10.0) -> str:
    return forecast(table, 6.0, before=latency(before), after=after)


def test_where_the_two_agree_it_says_both() -> None:
    assert said(latency(6.2)) == (
        "predicted latency: 6 ms, 60.0 % of dense; measured: 6.2 ms, 62.0 %"
    )


def test_shares_are_compared_since_the_machine_may_be_slower_now() -> None:
    assert "misses" not in said(latency(12.4), before=20.0)


@pytest.mark.parametrize(("after", "words"), [(9.0, "50% slower"), (3.0, "50% faster")])
def test_a_miss_is_said_plainly(after: float, words: str) -> None:
    text = said(latency(after))
    assert f"the prediction misses: the model is {words} than it says" in text
    assert "Not measured alone: cumsum" in text


def test_noise_is_no_miss() -> None:
    assert "varies too much to say" in said(latency(7.5, spread=0.4))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dense": replace(TABLE.dense, threads=1)}, "cpu with 1 thread"),
        ({"dense": replace(TABLE.dense, device="cuda:0")}, "cuda:0 with 2 threads"),
        ({"provenance": {**TABLE.provenance, "cpu": "NEON"}}, "another machine, .*NEON"),
        ({"provenance": {**TABLE.provenance, "torch": "1.0"}}, "PyTorch 1.0"),
    ],
)
def test_what_was_measured_elsewhere_is_not_compared(changes: dict, words: str) -> None:
    with_changes = replace(TABLE, **changes)
    text = said(latency(30.0), table=with_changes)
    assert "misses" not in text
    assert re.search(f"do not compare, since the latency table is of {words}", text)
