"""`--recover`: which steps bring accuracy back."""

from collections.abc import Mapping
from dataclasses import replace

import typer

from prunus.recover import (
    BatchNorm,
    Bias,
    FeatureDistillation,
    FineTune,
    FoldTwins,
    LeastSquares,
    LogitDistillation,
    Recovery,
    Training,
    get,
)
from prunus.train import Recipe

TEXTS: Mapping[type[Recovery], str] = {
    BatchNorm: "measuring batch norms",
    Bias: "compensating biases",
    FeatureDistillation: "recovering: features",
    FineTune: "recovering",
    FoldTwins: "folding twins",
    LeastSquares: "solving layers",
    LogitDistillation: "recovering",
}


def steps_named(text: str | None, *, recipe: Recipe, batch_norm: bool) -> list[Recovery]:
    """Return the steps that were asked for.

    Args:
        text: As typed: epochs to train, with the dense model as the teacher; or names of steps
            with commas, where one that trains may say its epochs.
        recipe: How to train.
        batch_norm: Whether batch norms are measured first, where no steps are named.

    Raises:
        TrainError: There is no such step.

    Example:
        >>> [type(step).__name__ for step in steps_named("5", recipe=Recipe(), batch_norm=True)]
        ['BatchNorm', 'LogitDistillation']
        >>> named = "least_squares,fine_tune=3"
        >>> steps_named(named, recipe=Recipe(), batch_norm=True)[1].recipe.epochs
        3
    """
    usual: list[Recovery] = [BatchNorm()] if batch_norm else []
    if text is None or text == "0":
        return usual
    if text.isdigit():
        return [*usual, LogitDistillation(recipe=replace(recipe, epochs=int(text)))]
    return [_step(word.strip(), recipe) for word in text.split(",")]


def _step(text: str, recipe: Recipe) -> Recovery:
    name, _, epochs = text.partition("=")
    step = get(name)
    if not epochs:
        return step
    if not (isinstance(step, Training) and epochs.isdigit() and int(epochs)):
        raise typer.BadParameter(
            f"'{text}' means nothing: a step that trains takes epochs, as fine_tune=5",
            param_hint="--recover",
        )
    return replace(step, recipe=replace(recipe, epochs=int(epochs)))
