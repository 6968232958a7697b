"""What passes over the data have in common: the model runs, and is then as it was."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from operator import length_hint
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from prunus.data.loader import checked
from prunus.errors import CriterionError, DataError
from prunus.inputs import Inputs, call, device_of, tensors_in
from prunus.modes import mode
from prunus.signals.signal import Request, Signal
from prunus.signals.weights import is_finite

Named: TypeAlias = Mapping[str, Tensor]


@contextmanager
def left_as_it_was(request: Request) -> Iterator[None]:
    """Evaluation mode with gradients for every scored parameter; undone at the end."""
    frozen = [tensor for tensor in request.parameters.values() if not tensor.requires_grad]
    with (
        random_state_kept(request.model),
        mode(request.model, training=False),
        torch.inference_mode(mode=False),
        torch.enable_grad(),
    ):
        try:
            for parameter in frozen:
                parameter.requires_grad_(True)
            yield
        finally:
            for parameter in frozen:
                parameter.requires_grad_(False)


@contextmanager
def evaluated(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; random numbers go on afterwards where they were."""
    with random_state_kept(model), mode(model, training=False), torch.no_grad():
        yield


@contextmanager
def random_state_kept(model: nn.Module) -> Iterator[None]:
    """A loader that shuffles or augments leaves the generators of torch, numpy and Python alone."""
    device = device_of(model)
    devices = [] if device.type in {"cpu", "meta"} else [device]
    of_python, of_numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=devices, device_type=device.type if devices else "cuda"):
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)


def batches_of(request: Request) -> Iterator[tuple[int, Inputs, Any]]:
    """Yield (number, inputs, targets) of the batches that `request` asks for; numbers start at 1.

    `request.progress` is told when the next is asked for.

    Raises:
        DataError: See `prunus.data.checked`.
    """
    assert request.data is not None  # `collect` has checked that what a signal requires is there
    numbers = (request.batches, length_hint(request.data, 0) or None)
    total = min((number for number in numbers if number is not None), default=None)
    batches = checked(islice(request.data, request.batches), device=device_of(request.model))
    for number, (inputs, targets) in enumerate(batches, start=1):
        yield number, inputs, targets
        if request.progress is not None:
            request.progress(number, total)


def flat_outputs(model: nn.Module, inputs: Inputs) -> Tensor:
    """Return all numbers that the model returns, in one row of float64."""
    tensors = [t for t in tensors_in(call(model, inputs)) if t.is_floating_point()]
    return torch.cat([tensor.double().flatten() for tensor in tensors])


def means(signal: Signal, sums: dict[str, Tensor], count: int) -> Named:
    """Divide the sums over `count` batches, in place, and return them.

    Raises:
        DataError: One is NaN or infinite.
    """
    for name, value in sums.items():
        value /= count
        if not is_finite(value):
            raise DataError(
                f"the gradients of '{name}' are NaN or infinite, though every loss is finite",
                why=f"{signal.name} is the {signal.meaning}; float16 overflows beyond 65504, and "
                "some functions, such as sqrt at 0, have no finite derivative",
                hint="score the model in float32 or bfloat16, or scale the loss down",
            )
    return sums


def check_loss(loss: Any, number: int) -> None:
    """Raise where the loss of batch `number` is not one finite number with a gradient.

    Raises:
        CriterionError: It is not one number, or depends on no parameter.
        DataError: It is NaN or infinite.
    """
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        given = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise CriterionError(
            f"the loss of batch {number} is of {given}, expected one number",
            hint='average it over the items: nn.CrossEntropyLoss(reduction="mean")',
        )
    if not bool(torch.isfinite(loss)):
        raise DataError(
            f"the loss of batch {number} is {loss.item()}",
            why="the batch and the weights are finite, so the model or the loss overflows there",
            hint="look at model(inputs) for this batch; leave the batch out or run in float32",
        )
    if not loss.requires_grad:
        raise independent()


def independent() -> CriterionError:
    """Return the error for a loss that no scored parameter has a part in."""
    return CriterionError(
        "the loss does not depend on any parameter that is scored",
        why="the outputs are detached, rounded or made under no_grad, or the loss ignores them",
        hint="compute the loss from the outputs by differentiable operations",
    )
