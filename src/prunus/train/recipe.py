"""A recipe says how to train: epochs, optimizer, learning rate over time, and the rest."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from prunus.errors import TrainError, unknown_name


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How `fit` trains. The defaults fine-tune a small convolutional network.

    The learning rate rises linearly over the first `warmup` of all steps and then falls to zero
    along half a cosine (Loshchilov and Hutter 2016, arXiv:1608.03983). After pruning, a rate as
    large as in the first training recovers more than a small one (Le and Hua 2021,
    arXiv:2105.03193).

    Attributes:
        epochs: Passes over the data.
        optimizer: "sgd" or "adamw".
        lr: Largest learning rate.
        momentum: Of SGD; the first beta of AdamW.
        weight_decay: For tensors of two or more dims; biases and the scales of norms have none.
        warmup: Fraction of all steps in which the learning rate rises.
        distill: With a teacher, the share of the loss that pulls towards the teacher's logits.
        temperature: By which both logits are divided for that.
        clip_norm: Largest norm of all gradients together; None to leave them as they are.

    Raises:
        TrainError: A number is out of its range, or there is no such optimizer.

    Example:
        >>> Recipe(epochs=5, lr=-1.0)
        Traceback (most recent call last):
        prunus.errors.TrainError: Recipe(lr=-1.0) cannot be used
          why:  lr must be above 0
    """

    epochs: int = 10
    optimizer: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 0.1
    distill: float = 0.5
    temperature: float = 2.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise unknown_name("optimizer", self.optimizer, OPTIMIZERS, TrainError)
        for name, (allowed, words) in _RANGES.items():
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and allowed(value)):
                raise TrainError(f"Recipe({name}={value!r}) cannot be used", why=f"{name} {words}")


_RANGES: Mapping[str, tuple[Callable[[float], bool], str]] = {
    "epochs": (lambda value: isinstance(value, int) and value >= 1, "must be an int, 1 or more"),
    "lr": (lambda value: 0 < value < math.inf, "must be above 0"),
    "momentum": (lambda value: 0 <= value < 1, "must be in [0, 1)"),
    "weight_decay": (lambda value: 0 <= value < math.inf, "must be 0 or more"),
    "warmup": (lambda value: 0 <= value < 1, "must be in [0, 1)"),
    "distill": (lambda value: 0 <= value <= 1, "must be in [0, 1]"),
    "temperature": (lambda value: 0 < value < math.inf, "must be above 0"),
    "clip_norm": (lambda value: value > 0, "must be above 0"),
}


def learning_rate(recipe: Recipe, *, step: int, steps: int) -> float:
    """Return the learning rate of step `step` (counted from 0) of `steps`.

    Example:
        >>> recipe = Recipe(lr=1.0, warmup=0.5)
        >>> [round(learning_rate(recipe, step=step, steps=8), 2) for step in range(8)]
        [0.25, 0.5, 0.75, 1.0, 1.0, 0.85, 0.5, 0.15]
    """
    rising = round(recipe.warmup * steps)
    if step < rising:
        return recipe.lr * ((step + 1) / rising)
    progress = (step - rising) / (steps - rising)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


_Parameters: TypeAlias = list[dict[str, Any]]


def _sgd(parameters: _Parameters, recipe: Recipe) -> Optimizer:
    return SGD(parameters, lr=recipe.lr, momentum=recipe.momentum)


def _adamw(parameters: _Parameters, recipe: Recipe) -> Optimizer:
    return AdamW(parameters, lr=recipe.lr, betas=(recipe.momentum, 0.999))


OPTIMIZERS: Mapping[str, Callable[[_Parameters, Recipe], Optimizer]] = {
    "adamw": _adamw,
    "sgd": _sgd,
}


def make_optimizer(model: nn.Module, recipe: Recipe) -> Optimizer:
    """Return the optimizer of `recipe` over all parameters of `model` that are trained.

    Raises:
        TrainError: No parameter requires a gradient.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise TrainError(
            "the model has no parameter to train",
            why="none requires a gradient",
            hint="model.requires_grad_(True)",
        )
    decayed = [parameter for parameter in trained if parameter.dim() >= 2]
    others = [parameter for parameter in trained if parameter.dim() < 2]
    parameters = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return OPTIMIZERS[recipe.optimizer]([part for part in parameters if part["params"]], recipe)
