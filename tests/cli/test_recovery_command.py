"""`--recover`."""

import json
from dataclasses import replace

import pytest
import typer

from prunus.cli.recovery import TEXTS, steps_named
from prunus.recover import RECOVERIES, BatchNorm, Bias, FineTune, LogitDistillation
from prunus.train import Recipe

RECIPE = Recipe(optimizer="adamw", lr=0.01)
FIVE = replace(RECIPE, epochs=5)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        (None, [BatchNorm()]),
        ("0", [BatchNorm()]),
        ("5", [BatchNorm(), LogitDistillation(recipe=FIVE)]),
        ("bias", [Bias()]),
        ("bias, fine_tune=5", [Bias(), FineTune(recipe=FIVE)]),
        ("fine_tune,batch_norm", [FineTune(), BatchNorm()]),
    ],
)
def test_what_is_typed(text, steps):
    assert steps_named(text, recipe=RECIPE, batch_norm=True) == steps


def test_no_batch_norm():
    assert steps_named("5", recipe=RECIPE, batch_norm=False) == [LogitDistillation(recipe=FIVE)]


@pytest.mark.parametrize("text", ["bias=5", "fine_tune=many", "fine_tune=0"])
def test_epochs_that_mean_nothing(text):
    with pytest.raises(typer.BadParameter, match=f"'{text}' means nothing"):
        steps_named(text, recipe=RECIPE, batch_norm=True)


def test_every_step_has_a_text_for_its_bar():
    assert set(TEXTS) == set(RECOVERIES.values())


def test_steps_are_done_in_order(run):
    typed = ("net:mlp", "--data", "digits", "--budget", "macs=0.5", "--json")
    wanted = "least_squares,feature_distillation=1,bias"
    result = run("prune", *typed, "--recover", wanted, "--lr", "0.05")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["comparison"]["after"] > 0.2


@pytest.mark.parametrize(
    ("steps", "words"),
    [("fine_tun", "did you mean 'fine_tune'"), ("bias", "--recover bias needs data")],
)
def test_what_cannot_be_done(refused, steps, words):
    assert words in refused("prune", "net:mlp", "--budget", "macs=0.5", "--recover", steps)
