"""Training from the command line: the dense model where it has no weights yet, and recovery."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from operator import length_hint
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from prunus.cli.asked import Shape
from prunus.cli.datasets import Data
from prunus.cli.render import Screen
from prunus.cli.saved import open_source
from prunus.cli.sources import Source
from prunus.cli.state import check_writable, save_weights
from prunus.errors import PruneError
from prunus.train import Hook, Recipe, Step, fit


def cross_entropy(outputs: Any, targets: Tensor) -> Tensor:
    """Return the mean cross entropy of logits (N, V), or (N, T, V) for tokens."""
    logits = getattr(outputs, "logits", outputs)  # models of transformers return a record
    return F.cross_entropy(logits.movedim(-1, 1), targets)


class Shown(Hook):
    """Moves a bar."""

    def __init__(self, at: Callable[[int, str], None], text: str) -> None:
        self.at, self.text = at, text

    def after_step(self, step: Step) -> None:
        """Say where the training is."""
        self.at(step.index + 1, f"{self.text}: epoch {step.epoch + 1}, loss {step.loss:.3f}")


def train(
    screen: Screen,
    model: nn.Module,
    data: Iterable[Any],
    *,
    recipe: Recipe,
    text: str,
) -> None:
    """Train `model` in place, with a bar."""
    with screen.bar(text, steps_of(recipe, data)) as at:
        fit(model, data, loss=cross_entropy, recipe=recipe, hooks=[Shown(at, text)])


def steps_of(recipe: Recipe, data: Iterable[Any]) -> int | None:
    """Return how many steps a training takes, None where the data do not say."""
    return recipe.epochs * length_hint(data, 0) or None


def open_trained(  # noqa: PLR0913 - what the options say, all keywords
    screen: Screen,
    text: str,
    *,
    recipe: Recipe,
    epochs: int | None = None,
    weights: Path | None = None,
    data: Data | None = None,
    dense: str | None = None,
    shape: Shape | None = None,
) -> Source:
    """Return the dense model with its weights; where their file is not there yet, train them.

    Args:
        screen: For the bar.
        text: MODEL.
        recipe: How to train.
        epochs: How long; None where that is not wanted.
        weights: Where the weights are, or shall be.
        data: To train on.
        dense: See `open_source`.
        shape: See `open_source`.

    Raises:
        PruneError: The model cannot be built, or there are no data to train it on.
    """
    if epochs is not None and weights is not None and not weights.exists():
        if data is None:
            raise PruneError(
                f"'{weights}' is not there, and there are no data to train on", hint="--data DATA"
            )
        check_writable(weights)
        source = open_source(text, dense=dense, shape=shape, data=data, trained=False)
        recipe = replace(recipe, epochs=epochs)
        train(screen, source.model, data.training, recipe=recipe, text="training the dense model")
        save_weights(source.model, weights)
        screen.remark(f"trained for {epochs} epochs: {weights}")
    return open_source(text, dense=dense, weights=weights, shape=shape, data=data)
