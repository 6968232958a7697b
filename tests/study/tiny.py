"""A study that takes seconds: a small perceptron on three clouds of points."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prunus.allocate import Budget
from prunus.data import Batches
from prunus.data.dataset import Examples
from prunus.study import Run, Study, compare
from prunus.train import Recipe, fit

RECIPE = Recipe(epochs=4, lr=0.05)
HALF = {"channel": [Budget(macs=0.5)]}
HALF_OF_BOTH = {"channel": [Budget(macs=0.5)], "weight": [Budget(params=0.5)]}
LOSS = nn.CrossEntropyLoss()


def points(items: int, seed: int) -> Examples:
    """Return points (N, 8) around three centres, and which centre (N,)."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.eye(3, 8) * 3
    labels = torch.arange(items) % 3
    return Examples(centres[labels] + torch.randn(items, 8, generator=generator), labels)


def train() -> Batches:
    """Return 6 batches that are shuffled by the epoch."""
    return Batches(points(90, seed=1), batch_size=15, shuffle=True)


def test() -> Batches:
    """Return 2 batches."""
    return Batches(points(120, seed=2), batch_size=60)


def network() -> nn.Module:
    """Return a new dense network."""
    return nn.Sequential(
        nn.Linear(8, 12),
        nn.BatchNorm1d(12),
        nn.ReLU(),
        nn.Linear(12, 12),
        nn.ReLU(),
        nn.Linear(12, 3),
    )


def dense() -> nn.Module:
    """Return a trained network, the same at every call."""
    torch.manual_seed(0)
    model = network()
    fit(model, train(), loss=LOSS, recipe=replace(RECIPE, epochs=2))
    return model


def study(
    folder: Path, *, model: nn.Module | None = None, strategies: Sequence[Any] = (), **changes: Any
) -> Study:
    """Compare; `changes` replace what is small by default. Without strategies, the controls run."""
    settings: dict[str, Any] = {
        "train": train(),
        "test": test(),
        "loss": LOSS,
        "budgets": HALF,
        "recipe": RECIPE,
        "dense_epochs": 2,
        "margin": 0.05,
        "seeds": [0],
    }
    settings |= changes
    return compare(
        dense() if model is None else model,
        torch.zeros(1, 8),
        folder=folder,
        strategies=list(strategies),
        **settings,
    )


def of(study: Study, strategy: str, **fields: Any) -> Run:
    """Return the first run of a strategy whose fields are those given."""
    return next(
        run
        for run in study.runs
        if run.strategy == strategy and all(getattr(run, k) == v for k, v in fields.items())
    )


def untimed(run: Run) -> Run:
    """Return a run without what the clock says."""
    return replace(
        run,
        latency=None,
        latency_dense=None,
        score_seconds=None,
        penalty_seconds=None,
        recover_seconds=0.0,
    )


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all that a model holds."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}
