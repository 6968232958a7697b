"""What single channels of activation functions do to outputs and loss when they are lines.

There are thousands, so none is tried: each is estimated from one backward pass, which all share.
With the change D of a channel, line minus function, and the gradient g of what comes out, g D
summed over the positions of an item is what that item changes by, to first order.

Legend: N items of a batch, C channels.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from prunus.inputs import call, loss_of
from prunus.links import Line
from prunus.signals.passes import batches_of, evaluated, flat_outputs
from prunus.signals.signal import Request


def changes(request: Request, lines: Mapping[str, Line]) -> dict[str, Tensor]:
    """Return per channel the squared change of the outputs, by the square of the outputs.

    The gradient is that of the outputs times random signs: squared, its mean is what is asked.

    Cost: a forward and a backward pass over the data.
    """
    sums = {name: torch.zeros(len(line.scale)) for name, line in lines.items()}
    whole = 0.0
    with evaluated(request.model):
        generator = torch.Generator().manual_seed(0)
        for _, inputs, _targets in batches_of(request):
            with _watched(request.model, lines) as watched:
                outputs = flat_outputs(request.model, inputs)
                signs = torch.randint(2, outputs.shape, generator=generator) * 2.0 - 1
                products = watched.products((outputs * signs.to(outputs)).sum())
            whole += float(outputs.detach().square().sum())
            for name, product_NC in products.items():
                sums[name] += product_NC.square().sum(0).cpu()
    return {name: total / max(whole, 1e-30) for name, total in sums.items()}


def rises(request: Request, lines: Mapping[str, Line]) -> dict[str, Tensor]:
    """Return per channel how much the loss rises, to second order.

    The loss is taken to be the mean over items of a negative log-likelihood: its curvature is then
    about the mean square of the gradients of items.

    Cost: a forward and a backward pass over the data.
    """
    assert request.loss is not None  # `collect` has checked that
    sums, count = {name: torch.zeros(len(line.scale)) for name, line in lines.items()}, 0
    with evaluated(request.model):
        for _, inputs, targets in batches_of(request):
            with _watched(request.model, lines) as watched:
                loss = loss_of(request.loss, call(request.model, inputs), targets)
                products = watched.products(loss)
            count += 1
            for name, product_NC in products.items():
                square_C = product_NC.square().sum(0) * len(product_NC)
                sums[name] += (product_NC.sum(0) + square_C / 2).cpu()
    return {name: total / max(count, 1) for name, total in sums.items()}


class _Watched:
    """What channels would change by, and zeros added to them to take gradients of."""

    def __init__(self, lines: Mapping[str, Line]) -> None:
        self._lines = lines
        self._straight: dict[str, Tensor] = {}
        self._change: dict[str, Tensor] = {}
        self._added: dict[str, Tensor] = {}

    def read(self, name: str, given: Tensor) -> None:
        """Note what the line makes, before a function that works in place overwrites it."""
        self._straight[name] = self._lines[name].apply(given.detach())

    def wrote(self, name: str, output: Tensor) -> Tensor:
        """Note the change; return the output with zeros added."""
        self._change[name] = self._straight.pop(name) - output.detach()
        self._added[name] = torch.zeros_like(output).requires_grad_(True)
        return output + self._added[name]

    def products(self, total: Tensor) -> dict[str, Tensor]:
        """Return per function gradient times change, summed over the positions of each item."""
        added = list(self._added.values())
        gradients = torch.autograd.grad(total, added, materialize_grads=True)
        return {
            name: (gradient * self._change[name]).unsqueeze(-1).flatten(2).sum(2).float()
            for name, gradient in zip(self._added, gradients, strict=True)
        }


@contextmanager
def _watched(model: nn.Module, lines: Mapping[str, Line]) -> Iterator[_Watched]:
    watched, handles = _Watched(lines), []

    def listen(name: str) -> None:
        module = model.get_submodule(name)
        handles.append(
            module.register_forward_pre_hook(lambda _, args: watched.read(name, args[0]))
        )
        handles.append(module.register_forward_hook(lambda _, __, out: watched.wrote(name, out)))

    try:
        with torch.enable_grad():
            for name in lines:
                listen(name)
            yield watched
    finally:
        for handle in handles:
            handle.remove()
