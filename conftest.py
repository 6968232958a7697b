"""What every test and every doctest gets: fixed seeds, one thread, a folder of its own."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from torch import nn

import prunus

settings.register_profile(
    "prunus",
    deadline=None,
    derandomize=True,
    max_examples=50,
    # No test depends on time, and budgets that cannot be met are thrown away.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("prunus")
torch.set_num_threads(1)


def seed() -> None:
    """Set every source of random numbers to its start."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Start each file of tests from the same random numbers: constants are drawn at import."""
    if isinstance(collector, pytest.Module):
        seed()


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """Start each test from the same random numbers, whatever ran before it."""
    seed()


@pytest.fixture(autouse=True)
def names_in_doctests(doctest_namespace: dict[str, object]) -> None:
    """Let docstring examples use torch, nn and prunus without an import."""
    doctest_namespace.update(torch=torch, nn=nn, prunus=prunus)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test write where it likes: relative paths lie in a temporary folder."""
    monkeypatch.chdir(tmp_path)
