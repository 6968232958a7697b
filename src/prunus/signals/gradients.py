"""Gradients of the loss, accumulated over the batches of one pass over the data.

The pass is made in evaluation mode (batch norms use and keep their running statistics, dropout is
off), so that a gradient is that of the network that will be shrunk. The model is left as it was:
its modes, its `requires_grad` flags, its `.grad`; so are the global random generators. Parameters
that the user froze are scored like all others. Each batch counts once, whatever its size.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from operator import length_hint
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from prunus.data.loader import checked
from prunus.errors import CriterionError, DataError
from prunus.inputs import Inputs, call, device_of
from prunus.modes import mode
from prunus.signals.signal import Request, Signal, Values
from prunus.signals.tensors import Signals
from prunus.signals.weights import WEIGHT, is_finite

Named: TypeAlias = Mapping[str, Tensor]


def collect_gradients(request: Request) -> Values:
    """Return the signals of this file that `request` names: means over its batches.

    Cost: One forward and one backward pass. Memory: 4 bytes per scored weight for each of
        GRADIENT and GRADIENT_SQUARE, 4 bytes per unit for GRADIENT_PRODUCT; and, as in training,
        the gradients and activations of one batch.

    Raises:
        DataError: There is no batch, or one, its loss or a gradient is NaN or infinite.
        CriterionError: The loss is not one number, or does not depend on any scored parameter.
    """
    assert request.data is not None  # `collect` has checked that what a signal requires is there
    sums: dict[Signal, dict[str, Tensor]] = {signal: {} for signal in request.signals}
    total = _number_of_batches(request)
    number = 0
    with _left_as_it_was(request):
        batches = checked(islice(request.data, request.batches), device=device_of(request.model))
        for number, (inputs, targets) in enumerate(batches, start=1):
            _add_batch(request, sums, _gradients(request, inputs, targets, number))
            if request.progress is not None:
                request.progress(number, total)
    return {signal: _means(signal, named, number) for signal, named in sums.items()}


def _gradients(request: Request, inputs: Inputs, targets: Any, number: int) -> Named:
    """Return the gradient of the loss of one batch by parameter name; zero where it has no part."""
    assert request.loss is not None
    loss = request.loss(call(request.model, inputs), targets)
    _check_loss(loss, number)
    parameters = list(request.parameters.values())
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    if all(gradient is None for gradient in gradients):
        raise _independent()
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient.to_dense()
        for (name, parameter), gradient in zip(request.parameters.items(), gradients, strict=True)
    }


def _add_batch(request: Request, sums: dict[Signal, dict[str, Tensor]], gradients: Named) -> None:
    for signal, sum_of in sums.items():
        for name, value in _PER_BATCH[signal](request, gradients):
            if name not in sum_of:
                sum_of[name] = torch.zeros_like(value, dtype=torch.float32)
            sum_of[name] += value


def _gradient(request: Request, gradients: Named) -> Iterator[tuple[str, Tensor]]:
    yield from gradients.items()


def _gradient_square(request: Request, gradients: Named) -> Iterator[tuple[str, Tensor]]:
    for name, gradient in gradients.items():
        yield name, gradient.float().square()


def _gradient_product(request: Request, gradients: Named) -> Iterator[tuple[str, Tensor]]:
    needs = frozenset({WEIGHT, GRADIENT})
    batch = Signals({WEIGHT: request.parameters, GRADIENT: gradients})
    for group in request.groups.values():
        pieces = []
        for piece in batch.pieces(group, needs):
            # What reads a unit carries its whole change, once; its producers and norms repeat it.
            readers = [member for member in piece.members if member.reads] or piece.members
            per_member_U = [(m.weight_UF * m.grad_UF).sum(dim=1) for m in readers]
            pieces.append(torch.stack(per_member_U).sum(dim=0).square())
        yield group.name, torch.cat(pieces)


GRADIENT = Signal(
    name="grad_UF",
    meaning="gradient of the mean loss over the data",
    per="member",
    collector=collect_gradients,
    requires=("data", "loss"),
)
GRADIENT_SQUARE = Signal(
    name="grad_square_UF",
    meaning="mean over batches of the squared gradient",
    per="member",
    collector=collect_gradients,
    requires=("data", "loss"),
)
GRADIENT_PRODUCT = Signal(
    name="product_square_U",
    meaning="mean over batches of (sum of gradient * weight over all that reads a unit) squared",
    per="group",
    collector=collect_gradients,
    requires=("data", "loss"),
)

_PER_BATCH: Mapping[Signal, Callable[[Request, Named], Iterator[tuple[str, Tensor]]]] = {
    GRADIENT: _gradient,
    GRADIENT_SQUARE: _gradient_square,
    GRADIENT_PRODUCT: _gradient_product,
}


def _means(signal: Signal, sums: dict[str, Tensor], count: int) -> Named:
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


@contextmanager
def _left_as_it_was(request: Request) -> Iterator[None]:
    """Evaluation mode with gradients for every scored parameter; undone at the end."""
    frozen = [tensor for tensor in request.parameters.values() if not tensor.requires_grad]
    with (
        _random_state_kept(request.model),
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
def _random_state_kept(model: nn.Module) -> Iterator[None]:
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


def _number_of_batches(request: Request) -> int | None:
    numbers = (request.batches, length_hint(request.data, 0) or None)
    return min((number for number in numbers if number is not None), default=None)


def _check_loss(loss: Any, number: int) -> None:
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
        raise _independent()


def _independent() -> CriterionError:
    return CriterionError(
        "the loss does not depend on any parameter that is scored",
        why="the outputs are detached, rounded or made under no_grad, or the loss ignores them",
        hint="compute the loss from the outputs by differentiable operations",
    )
