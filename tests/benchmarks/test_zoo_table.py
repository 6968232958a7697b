"""The support matrix, from rows by hand."""

import pytest
from benchmarks.zoo.table import fell, handled, matrix, short

PASSED = {
    "side": "prunus", "library": "own", "name": "a|b", "verdict": "passed", "params": 100,
    "params_after": 40, "reached": 90, "units": 20, "units_cut": 8, "seconds": {"prune": 1.25},
    "frozen": [{"because": "model output", "groups": 2, "params": 10}],
}  # fmt: skip
WHOLE = {
    "side": "prunus", "library": "own", "name": "c", "verdict": "whole", "params": 100,
    "reached": 0, "message": "no group", "frozen": [
        {"because": "x at y.py:1: prunus has no rule for this operator", "groups": 1, "params": 100}
    ],
}  # fmt: skip
RIVAL = {
    "side": "torch-pruning", "library": "own", "name": "a|b", "verdict": "handled", "params": 100,
    "params_after": 30, "exact": False,
}  # fmt: skip


def test_a_matrix_by_hand() -> None:
    lines = matrix({"rows": [PASSED, WHOLE, RIVAL], "versions": {}}).splitlines()

    assert "| prunus | 2 | 1 | 1 | 0 | 0 | 1 | 50.0% |" in lines
    assert "| Torch-Pruning | 1 | 1 | 0 | 0 | 0 | 0 | 0.0% |" in lines
    assert "| an operator without a rule | 1 | 50.0% |" in lines
    last = "| 2 makes an output of the model | 1.2 | handled, 70%, not masked = shrunk |"
    assert f"| a/b | passed | 40% | 90% | 60% {last}" in lines
    assert "| c | whole | - | 0% | 0% | 1 an operator without a rule | - | - |" in lines


def test_a_fifth_must_fall() -> None:
    little = {**PASSED, "params_after": 81}

    assert (fell(PASSED), fell(WHOLE)) == (0.6, 0.0)
    assert (handled(PASSED), handled(little), handled(WHOLE)) == (True, False, False)


@pytest.mark.parametrize(
    ("because", "words"),
    [
        ("model input; model output", "makes an output of the model"),
        ("size 3 is a literal at a.py:1", "a size written as a number"),
        ("whatever", "other"),
    ],
)
def test_reasons_in_a_few_words(because: str, words: str) -> None:
    assert short(because) == words
