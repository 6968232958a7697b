"""The one training loop: it trains dense models, recovers pruned ones, and serves the studies."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from prunus.data import checked, set_epoch
from prunus.data.loader import check_data
from prunus.errors import DataError, TrainError, check_kind
from prunus.inputs import Inputs, Loss, call, check_loss_function, device_of, loss_of
from prunus.modes import mode
from prunus.train.distill import distillation
from prunus.train.hooks import Epoch, Hook, Step
from prunus.train.recipe import Recipe, learning_rate, make_optimizer

Objective: TypeAlias = Callable[[Inputs, Any], Tensor]


@dataclass(frozen=True)
class History:
    """How a training went.

    Attributes:
        epochs: Loss, learning rate and seconds of each epoch.
        steps: Steps of the optimizer in all.
    """

    epochs: tuple[Epoch, ...]
    steps: int

    @property
    def seconds(self) -> float:
        """Wall time of all epochs."""
        return sum(epoch.seconds for epoch in self.epochs)


def fit(
    model: nn.Module,
    data: Iterable[Any],
    *,
    loss: Loss,
    recipe: Recipe,
    teacher: nn.Module | None = None,
    hooks: Sequence[Hook] = (),
    seed: int = 0,
) -> History:
    """Train `model` in place, in training mode, and return how it went.

    Given the same weights, data, recipe and seed, two trainings on one CPU end with the same bits.
    The caller's random state of PyTorch and the training flag of every module are as before at
    the end; gradients are gone. A teacher runs in evaluation mode and without gradients.

    Args:
        model: Any module; how it is called is said in `prunus.inputs`.
        data: Batches (inputs, targets); read once per epoch.
        loss: loss(outputs, targets) -> a scalar.
        recipe: How to train.
        teacher: The dense model, to distil from; its outputs and the model's are logits.
        hooks: Called in order after each step and each epoch.
        seed: Of dropout, and of loaders that shuffle by PyTorch's random state.

    Raises:
        DataError: The data yield no batch, can be read only once, or hold NaN or infinity.
        TrainError: The loss is not a finite scalar that depends on the model, or a gradient is
            not finite. The model then keeps the weights of the last good step.

    Example:
        >>> model = nn.Linear(4, 2)
        >>> data = [(torch.randn(8, 4), torch.randint(2, (8,)))]
        >>> history = fit(model, data, loss=nn.CrossEntropyLoss(), recipe=Recipe(epochs=3))
        >>> history.steps
        3
    """
    check_kind("recipe", recipe, Recipe, TrainError, hint="recipe=prunus.Recipe(epochs=10)")
    check_loss_function(loss, TrainError)
    check_data(data)
    steps = recipe.epochs * batches_in(data)
    objective = _objective(model, loss, recipe, teacher)
    optimizer = make_optimizer(model, recipe)
    training = _Training(model, objective, optimizer, recipe, tuple(hooks), steps)
    with mode(model, training=True), _evaluating(teacher), _seeded(seed):
        for hook in hooks:
            hook.start(model, optimizer)
        epochs = tuple(training.epoch(data, number) for number in range(recipe.epochs))
    optimizer.zero_grad()
    return History(epochs=epochs, steps=training.steps_taken)


@dataclass
class _Training:
    """A training under way."""

    model: nn.Module
    objective: Objective
    optimizer: Optimizer
    recipe: Recipe
    hooks: tuple[Hook, ...]
    steps: int
    steps_taken: int = 0

    def epoch(self, data: Iterable[Any], number: int) -> Epoch:
        """Read the data once."""
        began = time.perf_counter()
        set_epoch(data, number)
        batches = checked(data, device=device_of(self.model))
        steps = [self.step(inputs, targets, number) for inputs, targets in batches]
        epoch = Epoch(
            index=number,
            epochs=self.recipe.epochs,
            loss=math.fsum(step.loss for step in steps) / len(steps),
            lr=steps[-1].lr,
            seconds=time.perf_counter() - began,
        )
        for hook in self.hooks:
            hook.after_epoch(epoch)
        return epoch

    def step(self, inputs: Inputs, targets: Any, epoch: int) -> Step:
        """Take one step of the optimizer, unless the loss or a gradient forbids it."""
        given = (hook.rate(self.steps_taken) for hook in self.hooks)
        planned = learning_rate(self.recipe, step=self.steps_taken, steps=self.steps)
        lr = next((rate for rate in given if rate is not None), planned)
        at = f"at epoch {epoch + 1}, step {self.steps_taken + 1} of {self.steps}"
        self.optimizer.zero_grad()
        loss = self.objective(inputs, targets)
        _check_loss(loss, at=at, lr=lr)
        loss.backward()  # type: ignore[no-untyped-call]
        self._limit_gradients(at=at, lr=lr)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        step = Step(index=self.steps_taken, steps=self.steps, epoch=epoch, lr=lr, loss=loss.item())
        self.steps_taken += 1
        for hook in self.hooks:
            hook.after_step(step)
        return step

    def _limit_gradients(self, *, at: str, lr: float) -> None:
        """Clip the gradients to the recipe's norm; raise where one is not finite."""
        trained = [weight for weight in self.model.parameters() if weight.grad is not None]
        norm = get_total_norm([weight.grad for weight in trained if weight.grad is not None])
        if not torch.isfinite(norm):
            raise _diverged("the gradients are not finite", at=at, lr=lr)
        if self.recipe.clip_norm is not None:
            clip_grads_with_norm_(trained, self.recipe.clip_norm, norm)


def _objective(
    model: nn.Module, loss: Loss, recipe: Recipe, teacher: nn.Module | None
) -> Objective:
    """Return what is minimised: the loss, mixed with distillation where there is a teacher."""
    if teacher is None:
        return lambda inputs, targets: loss_of(loss, call(model, inputs), targets)

    def distilled(inputs: Inputs, targets: Any) -> Tensor:
        outputs = call(model, inputs)
        with torch.no_grad():
            taught = call(teacher, inputs)
        towards_teacher = distillation(outputs, taught, temperature=recipe.temperature)
        from_targets = loss_of(loss, outputs, targets)
        return (1 - recipe.distill) * from_targets + recipe.distill * towards_teacher

    return distilled


def _check_loss(loss: Tensor, *, at: str, lr: float) -> None:
    """Raise where `loss` is nothing to descend on."""
    if loss.numel() != 1:
        raise TrainError(
            f"the loss has shape {tuple(loss.shape)}, not one number",
            hint='reduce it, such as nn.CrossEntropyLoss(reduction="mean")',
        )
    if not loss.requires_grad:
        raise TrainError(
            "the loss does not depend on the model",
            why="it has no gradient: the outputs were detached, or computed under no_grad",
            hint="compute the loss from what the model returns",
        )
    if not torch.isfinite(loss):
        raise _diverged(f"the loss is {loss.item()}", at=at, lr=lr)


def _diverged(what: str, *, at: str, lr: float) -> TrainError:
    return TrainError(
        f"{what} {at}",
        why=f"inputs and targets are finite, so the weights have diverged at lr={lr:.3g}, or the "
        "loss has no value there",
        hint=f"lower lr, such as Recipe(lr={lr / 10:.1g}), or set clip_norm=1.0",
    )


def batches_in(data: Iterable[Any]) -> int:
    """Return how many batches `data` yield, by reading them where they do not say."""
    if isinstance(data, Iterator):
        raise DataError(
            f"the data are a {type(data).__name__}, which can be read only once",
            hint="pass a DataLoader or a list of batches",
        )
    try:
        return len(data)  # type: ignore[arg-type]
    except TypeError:
        return sum(1 for _ in data)


def _evaluating(teacher: nn.Module | None) -> AbstractContextManager[None]:
    return nullcontext() if teacher is None else mode(teacher, training=False)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw from `seed` inside; leave the random state of every device as it was."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
