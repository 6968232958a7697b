"""What else can happen while a model trains: penalties, masks, progress bars."""

from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the optimizer, just taken.

    Attributes:
        index: Counted from 0 over all epochs.
        steps: How many there will be in all.
        epoch: Counted from 0.
        lr: Learning rate that it used.
        loss: Before the step.
    """

    index: int
    steps: int
    epoch: int
    lr: float
    loss: float


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One pass over the data, just finished.

    Attributes:
        index: Counted from 0.
        epochs: How many there will be in all.
        loss: Mean over its steps.
        lr: Learning rate of its last step.
        seconds: Wall time.
    """

    index: int
    epochs: int
    loss: float
    lr: float
    seconds: float


class Hook:
    """Called by `fit` as it goes. Every method does nothing until a subclass says otherwise.

    Example:
        >>> class Print(Hook):
        ...     def after_epoch(self, epoch):
        ...         print(f"epoch {epoch.index + 1} of {epoch.epochs}: loss {epoch.loss:.2f}")
    """

    def start(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Before the first step: here masks attach themselves to the optimizer."""

    def rate(self, step: int) -> float | None:
        """Return the learning rate of a step that is due, counted from 0; None for the recipe's."""
        return None

    def after_step(self, step: Step) -> None:
        """After each step of the optimizer."""

    def after_epoch(self, epoch: Epoch) -> None:
        """After each pass over the data."""
