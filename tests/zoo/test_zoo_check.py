"""The zoo's check fails what is wrong, and its processes turn every failure into a row."""

import copy
import os
import signal

import pytest
import torch
from benchmarks.zoo.check import WrongError, check, compare, step
from benchmarks.zoo.isolated import isolated
from benchmarks.zoo.network import Network, nothing_at_its_default, numbers
from torch import nn

import prunus


def network(build=lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))):
    return Network(library="own", name="one", build=build, inputs=numbers(4))


def test_a_row_by_hand() -> None:
    row = check(network())

    assert row["verdict"] == "passed"
    assert (row["params"], row["params_after"], row["reached"]) == (58, 30, 56)
    assert (row["units"], row["units_cut"]) == (14, 4)
    assert [(f["because"], f["params"]) for f in row["frozen"]] == [
        ("model output", 2), ("model input", 0),
    ]  # fmt: skip


def test_what_cannot_be_cut_is_whole_and_says_why() -> None:
    row = check(network(lambda: nn.Linear(4, 2)))

    assert (row["verdict"], row["params"], row["reached"]) == ("whole", 10, 0)
    assert {one["because"] for one in row["frozen"]} == {"model output", "model input"}


def test_a_cut_that_computes_something_else_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    prune = prunus.prune

    def careless(model, *arguments, **settings):
        pruned = prune(model, *arguments, **settings)
        pruned.model[0].bias.data += 0.01
        return pruned

    monkeypatch.setattr(prunus, "prune", careless)
    with pytest.raises(WrongError, match="the shrunk model differs from the masked one by"):
        check(network())


def test_rounding_of_float32_is_told_apart_in_float64() -> None:
    model = nn.Linear(4, 2)
    turned, wrong = copy.deepcopy(model), copy.deepcopy(model)
    wrong.weight.data[0, 0] += 1e-3
    batches = [torch.randn(2, 4)]

    compare(model, turned, batches)
    with pytest.raises(WrongError, match="where rounding explains"):
        compare(model, wrong, batches)


def test_outputs_of_other_shapes_are_wrong() -> None:
    with pytest.raises(WrongError, match="outputs of shapes"):
        compare(nn.Linear(4, 2), nn.Linear(4, 3), [torch.randn(2, 4)])


def test_a_step_without_gradients_is_wrong() -> None:
    class Cut(nn.Linear):
        def forward(self, x):
            return super().forward(x).detach() + torch.zeros(2, requires_grad=True)

    with pytest.raises(WrongError, match="no gradient reaches a parameter"):
        step(Cut(4, 2), network())


def test_nothing_is_at_its_default() -> None:
    model = nothing_at_its_default(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))

    for tensor in (*model.parameters(), model[1].running_mean, model[1].running_var):
        assert tensor.unique().numel() == tensor.numel()


def fails() -> dict[str, str]:
    raise ValueError("no\n such")


def ended() -> dict[str, str]:
    os.kill(os.getpid(), signal.SIGTERM)
    return {}


@pytest.mark.parametrize(
    ("function", "row"),
    [
        (lambda: {"verdict": "passed"}, {"verdict": "passed"}),
        (fails, {"verdict": "error", "error": "ValueError", "message": "no such"}),
        (ended, {"verdict": "error", "message": "killed by SIGTERM"}),
    ],
)
def test_whatever_happens_in_a_process_is_a_row(function, row) -> None:
    found = isolated(function, seconds=60)

    found.pop("where", None)
    assert found == row
