"""The claim of benchmarks/language.py, on its committed result and at small size."""

import json
import runpy

import pages
import pytest
import torch
from torch import nn

import prunus

BENCHMARKS = pages.ROOT / "benchmarks"
RESULT = json.loads((BENCHMARKS / "results" / "language-minilm.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("seed", range(RESULT["seeds"]))
def test_sparsegpt_hurts_less_than_wanda_and_wanda_less_than_magnitude(seed) -> None:
    error = {row["criterion"]: row["error"] for row in RESULT["rows"] if row.get("seed") == seed}
    assert error["sparsegpt"] < error["wanda"] < error["magnitude"] < error["random"]


def test_the_same_at_small_size() -> None:
    """Inputs of very different sizes that go together, as in transformers."""
    model = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 16))
    mixing = torch.eye(32) + 0.3 * torch.randn(32, 32)
    inputs = torch.randn(512, 32) @ mixing * torch.logspace(-1, 1, 32)

    def error(pruned: nn.Module) -> float:
        return (pruned(inputs) - model(inputs)).square().sum().item()

    errors = []
    for criterion in ("sparsegpt", "wanda", "magnitude", "random"):
        pruned = prunus.prune(
            model, inputs[:1], budget=prunus.Budget(units=0.5), granularity="weight",
            criterion=criterion, allocation="uniform", data=[inputs],
        )  # fmt: skip
        errors.append(error(pruned.model))
    assert errors == sorted(errors)


def test_a_table_by_hand() -> None:
    language = runpy.run_path(str(BENCHMARKS / "tables.py"))["language"]
    rows = [
        {"criterion": "dense", "error": 0.0},
        {"criterion": "wanda", "seed": 0, "zeros": 0.5, "error": 0.30812},
        {"criterion": "wanda", "seed": 1, "zeros": 0.5, "error": 0.32},
    ]
    result = {"model": "mini", "seeds": 2, "calibration": 64, "length": 128, "test": 32}

    lines = language({**result, "rows": rows}).splitlines()

    assert lines[0] == "| mini, 50% to zero | error |"
    assert lines[2:4] == ["| `dense` | 0 |", "| `wanda` | 0.308 - 0.32 |"]
    assert lines[5].startswith("Lowest to highest over 2 draws of 64 calibration sequences of 128")
