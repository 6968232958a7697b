"""A recovery: steps in order, after a cut."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prunus.data.loader import check_data
from prunus.errors import DataError, TrainError, check_kind, unknown_name
from prunus.inputs import Loss, check_loss_function
from prunus.modes import seeded
from prunus.recover.base import Cut, Given, Recovery, Training
from prunus.recover.features import FeatureDistillation
from prunus.recover.steps import (
    BatchNorm,
    Bias,
    FineTune,
    FoldTwins,
    LeastSquares,
    LogitDistillation,
)
from prunus.train import Hook, Recipe

RECOVERIES: Mapping[str, type[Recovery]] = {
    "batch_norm": BatchNorm,
    "bias": Bias,
    "feature_distillation": FeatureDistillation,
    "fine_tune": FineTune,
    "fold_twins": FoldTwins,
    "least_squares": LeastSquares,
    "logit_distillation": LogitDistillation,
}


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """What one step did.

    Attributes:
        step: Which.
        changed: Batch norms, biases or layers that were changed; of a training, its steps.
        seconds: Wall time.
    """

    step: Recovery
    changed: int
    seconds: float


def get(step: str | Recovery) -> Recovery:
    """Return the step of that name, with its defaults; a step is returned as it is.

    Raises:
        TrainError: There is none of that name.

    Example:
        >>> get("batch_norm")
        BatchNorm(batches=100)
    """
    if isinstance(step, Recovery):
        return step
    if step not in RECOVERIES:
        raise unknown_name("recovery", step, RECOVERIES, TrainError)
    return RECOVERIES[step]()


def recover(
    pruned: Cut,
    steps: Sequence[str | Recovery],
    *,
    data: Iterable[Any],
    loss: Loss | None = None,
    recipe: Recipe | None = None,
    hooks: Sequence[Hook] = (),
    seed: int = 0,
) -> tuple[Recovered, ...]:
    """Bring back the accuracy of a model that was cut, step by step, in place.

    "batch_norm" measures statistics anew, "bias", "fold_twins" and "least_squares" make up for
    the removed inputs without training, "fine_tune", "logit_distillation" and
    "feature_distillation" train. Shapes stay as they are, and zeroed weights stay zero. The order
    is yours; least squares before training, batch norms after what changes weights without
    training.

    Args:
        pruned: What `prune` returned; `pruned.model` is changed.
        steps: Names, or steps of `prunus.recover` with settings of their own.
        data: Batches (inputs, targets), read by each step.
        loss: loss(outputs, targets), where a step trains.
        recipe: How to train, where a step has no recipe of its own; `Recipe()` unless given.
        hooks: Called as a training goes.
        seed: Of data that are shuffled and of dropout: the same seed gives the same model.

    Returns:
        What each step did, in their order.

    Raises:
        TrainError: There is no such step; the dense model or the loss that one needs is missing;
            or a training failed. What is missing is found out before anything is changed; after
            an error in a later step, the earlier ones have done their work.
        DataError: The data end, or hold NaN or infinity.

    Example:
        >>> dense = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> data = [(torch.randn(64, 4), torch.randint(2, (64,)))]
        >>> pruned = prunus.prune(dense, torch.randn(1, 4), budget=prunus.Budget(units=0.5))
        >>> done = prunus.recover(
        ...     pruned, ["least_squares", "fine_tune"], data=data, loss=nn.CrossEntropyLoss(),
        ...     recipe=prunus.Recipe(epochs=3),
        ... )
        >>> [each.changed for each in done]
        [1, 3]
    """
    check_kind(
        "pruned", pruned, Cut, TrainError, hint="pass what prunus.prune returned, not its model"
    )
    check_kind("steps", steps, (list, tuple), TrainError, hint='steps=["batch_norm", "fine_tune"]')
    chosen = [get(step) for step in steps]
    given = Given(data=data, loss=loss, recipe=recipe or Recipe(), hooks=hooks, seed=seed)
    _check(pruned, chosen, given)
    return tuple(_done(step, pruned, given) for step in chosen)


def _done(step: Recovery, pruned: Cut, given: Given) -> Recovered:
    began = time.perf_counter()
    with seeded(given.seed):
        changed = step.run(pruned, given)
    return Recovered(step=step, changed=changed, seconds=time.perf_counter() - began)


def _check(pruned: Cut, steps: Sequence[Recovery], given: Given) -> None:
    """Raise where a step would find out later that something is missing."""
    check_data(given.data)
    if isinstance(given.data, Iterator):
        raise DataError(
            f"the data are a {type(given.data).__name__}, which can be read only once",
            hint="pass a DataLoader or a list of batches",
        )
    for step in steps:
        name = type(step).__name__
        if step.compares and pruned.dense is None:
            raise TrainError(
                f"{name} needs the dense model, which is gone",
                why="it was pruned in place",
                hint="prune with in_place=False, or recover by 'batch_norm' and 'fine_tune'",
            )
        if isinstance(step, Training) and given.loss is None:
            raise TrainError(f"{name} needs a loss", hint="loss=nn.CrossEntropyLoss()")
    if given.loss is not None:
        check_loss_function(given.loss, TrainError)
