"""What every step of a recovery is: it changes the numbers of a model that was cut, in place."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import nn
from torch.optim import Optimizer

from prunus.errors import TrainError
from prunus.inputs import Loss
from prunus.masks import Masked
from prunus.records import Plan
from prunus.train import Hook, Recipe


@runtime_checkable
class Cut(Protocol):
    """A model that was cut, as `prunus.prune` returns it."""

    @property
    def model(self) -> nn.Module:
        """What is left; changed in place."""

    @property
    def plan(self) -> Plan:
        """What was kept."""

    @property
    def dense(self) -> nn.Module | None:
        """The model as it was; None where it was cut in place."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What all steps of a recovery share.

    Attributes:
        data: Batches (inputs, targets), or inputs alone where no step trains.
        loss: loss(outputs, targets), where a step trains.
        recipe: How to train, where a step has no recipe of its own.
        hooks: Called as a training goes.
        seed: Of whatever is random.
    """

    data: Iterable[Any]
    loss: Loss | None = None
    recipe: Recipe = field(default_factory=Recipe)
    hooks: Sequence[Hook] = ()
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Recovery(ABC):
    """One step of a recovery.

    Shapes, flags and hooks of the model stay as they are, and weights that were set to zero stay
    zero. The dense model is run and left as it is.

    Attributes:
        compares: Whether it looks at the dense model.
        closer: Whether what the layers give on the data is never further from the dense model
            afterwards.
    """

    compares: ClassVar[bool] = False
    closer: ClassVar[bool] = False

    @abstractmethod
    def run(self, cut: Cut, given: Given) -> int:
        """Recover in place; return how much was changed, in what the step counts.

        Raises:
            PruneError: The data, the models or the training do not allow it.
        """


@dataclass(frozen=True, kw_only=True)
class Training(Recovery):
    """A step that trains: it needs targets and a loss.

    Attributes:
        recipe: How; that of the call where None.
    """

    recipe: Recipe | None = None


class Held(Hook):
    """Keeps the zeros of a plan through a training; does nothing where units were removed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def start(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Set the zeros again after every step of `optimizer`, which goes with the training."""
        if self.plan.zeroes:
            Masked(model, self.plan).hold(optimizer)


def dense_of(cut: Cut) -> nn.Module:
    """Return the dense model.

    Raises:
        TrainError: It is gone.
    """
    if cut.dense is None:
        raise TrainError(
            "the dense model is gone",
            why="it was pruned in place",
            hint="prune with in_place=False, or recover by 'batch_norm' and 'fine_tune'",
        )
    return cut.dense


def loss_of(given: Given) -> Loss:
    """Return the loss.

    Raises:
        TrainError: There is none.
    """
    if given.loss is None:
        raise TrainError("there is no loss to train with", hint="loss=nn.CrossEntropyLoss()")
    return given.loss
