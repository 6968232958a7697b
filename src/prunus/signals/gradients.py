"""Gradients of the loss, accumulated over the batches of one pass over the data.

The pass is made in evaluation mode (batch norms use and keep their running statistics, dropout is
off), so that a gradient is that of the network that will be shrunk. The model is left as it was:
its modes, its `requires_grad` flags, its `.grad`; so are the global random generators. Parameters
that the user froze are scored like all others. Each batch counts once, whatever its size.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from prunus.inputs import Inputs, call, loss_of
from prunus.signals.passes import (
    Named,
    batches_of,
    check_loss,
    independent,
    left_as_it_was,
    means,
)
from prunus.signals.signal import Request, Signal, Values
from prunus.signals.tensors import Signals
from prunus.signals.weights import WEIGHT


def collect_gradients(request: Request) -> Values:
    """Return the signals of this file that `request` names: means over its batches.

    Cost: One forward and one backward pass. Memory: 4 bytes per scored weight for each of
        GRADIENT and GRADIENT_SQUARE, 4 bytes per unit for GRADIENT_PRODUCT; and, as in training,
        the gradients and activations of one batch.

    Raises:
        DataError: There is no batch, or one, its loss or a gradient is NaN or infinite.
        CriterionError: The loss is not one number, or does not depend on any scored parameter.
    """
    sums: dict[Signal, dict[str, Tensor]] = {signal: {} for signal in request.signals}
    number = 0
    with left_as_it_was(request):
        for number, inputs, targets in batches_of(request):
            _add_batch(request, sums, gradients_of(request, inputs, targets, number))
    return {signal: means(signal, named, number) for signal, named in sums.items()}


def gradients_of(
    request: Request, inputs: Inputs, targets: Any, number: int, *, create_graph: bool = False
) -> Named:
    """Return the gradient of the loss of batch `number` by parameter; zero where it has no part.

    Args:
        request: Its model must be ready for a pass: see `left_as_it_was`.
        inputs: Of the batch.
        targets: Of the batch.
        number: Of the batch, for messages; from 1.
        create_graph: Make gradients that can be differentiated once more.

    Raises:
        CriterionError: The loss is not one number, or does not depend on any scored parameter.
        DataError: The loss is not finite.
    """
    assert request.loss is not None
    loss = loss_of(request.loss, call(request.model, inputs), targets)
    check_loss(loss, number)
    parameters = list(request.parameters.values())
    gradients = torch.autograd.grad(loss, parameters, create_graph=create_graph, allow_unused=True)
    if all(gradient is None for gradient in gradients):
        raise independent()
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
