"""A study that takes a fraction of a second: a perceptron on a few digits."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from prunus.allocate import Allocator, Budget
from prunus.allocate.base import Counts, Problem
from prunus.data import Batches, Dataset, digits
from prunus.data.dataset import Examples
from prunus.networks import mlp
from prunus.study import Run, Study, compare
from prunus.train import Recipe, fit

TRAIN, TEST, DENSE_EPOCHS = 160, 120, 2
RECIPE = Recipe(epochs=3, optimizer="adamw", lr=0.01)
CHANNEL: Mapping[str, list[Budget]] = {"channel": [Budget(macs=0.5)]}
WEIGHT: Mapping[str, list[Budget]] = {"weight": [Budget(params=0.25)]}


class KeepsAll(Allocator):
    """Wrong on purpose: it meets no budget."""

    def counts(self, problem: Problem) -> Counts:
        """Return that no group loses any."""
        return {}


@cache
def data() -> Dataset:
    return digits()


def train() -> Batches:
    return Batches(Examples(*(part[:TRAIN] for part in data().train)), batch_size=40, shuffle=True)


def test_data() -> Batches:
    return Batches(Examples(*(part[:TEST] for part in data().test)), batch_size=TEST)


@cache
def _trained() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = mlp(width=12)
    recipe = replace(RECIPE, epochs=DENSE_EPOCHS)
    fit(model, train(), loss=nn.CrossEntropyLoss(), recipe=recipe)
    return model


def dense() -> nn.Module:
    """Return a trained perceptron, the same at every call."""
    model = mlp(width=12)
    model.load_state_dict(_trained().state_dict())
    return model


def small_study(folder: str | Path, **changes: Any) -> Study:
    """Run "magnitude" and the two controls with one seed; `changes` replace arguments."""
    asked = {
        "model": dense(),
        "example_inputs": data().test.inputs[:1],
        "train": train(),
        "test": test_data(),
        "loss": nn.CrossEntropyLoss(),
        "budgets": CHANNEL,
        "recipe": RECIPE,
        "dense_epochs": DENSE_EPOCHS,
        "strategies": ["magnitude"],
        "seeds": [0],
    }
    return compare(folder=folder, **(asked | changes))


def measured(study: Study) -> list[Run]:
    """Return the runs without their times, which no two runs share."""
    times = ("latency", "latency_dense", "score_seconds", "penalty_seconds", "recover_seconds")
    # The manifest holds times as text, so the size of the files goes with them.
    return [replace(run, file_bytes=None, **dict.fromkeys(times)) for run in study.runs]


class Killed(Exception):
    """What stands for the end of the process."""


class KillAt:
    """A progress callback that ends the study before a run."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, done: int, total: int, text: str) -> None:
        if done == self.number:
            raise Killed
