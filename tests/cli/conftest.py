"""What the tests of the command line share: typing a command, files of a user, a saved model."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from typer.testing import CliRunner, Result

from prunus.cli import steps
from prunus.cli.app import app
from prunus.cost import measure_latencies

Type: TypeAlias = Callable[..., Result]

USER = '''
"""A user's own file."""

import torch
from torch import nn


def build():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.randn(1, 4)


def without_inputs():
    return build()[0]


def text():
    return "no model"


def fails():
    raise KeyError("the user's own")


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        raise RuntimeError("the user's forward")


def broken():
    return Broken(), torch.randn(1, 4)


def not_finite():
    model, inputs = build()
    nn.init.constant_(model[0].weight, float("nan"))
    return model, inputs


def one_layer():
    return nn.Linear(4, 2), torch.randn(1, 4)


def batches():
    inputs = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    return [(part, (part.sum(1) > 0).long()) for part in inputs.split(16)]


def loaders():
    return batches(), batches()


def empty():
    return [], []


def nan():
    return [(torch.full((4, 4), float("nan")), torch.zeros(4, dtype=torch.long))]
'''


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let output be 80 columns wide, whatever the terminal of the tests is."""
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(autouse=True)
def quick_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time a few passes only: no test looks at how long they take."""
    monkeypatch.setattr(
        steps, "measure_latencies", lambda models, inputs, **_: QUICK(models, inputs)
    )


QUICK = partial(measure_latencies, runs=5, warmup=0)


@pytest.fixture
def run() -> Type:
    """Type a command; an exception that is no exit is raised."""

    def typed(*words: object, code: int = 0) -> Result:
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return typed


@pytest.fixture
def run_json(run: Type) -> Callable[..., Any]:
    """Type a command with --json; return what stdout holds."""
    return lambda *words, code=0: json.loads(run(*words, "--json", code=code).stdout)


@pytest.fixture
def user() -> Path:
    """A file of the user's, in the folder that the test runs in."""
    path = Path("user.py")
    path.write_text(USER, encoding="utf-8")
    return path


@pytest.fixture
def small(run: Type, own_folder: None) -> Path:
    """A saved model, cut from the untrained net:mlp."""
    run("prune", "net:mlp", "--budget", "macs=0.5", "--out", "small")
    return Path("small")
