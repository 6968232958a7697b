"""What the zoo holds: a network and its inputs, and how to register one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Inputs = Any
MakeInputs = Callable[[int], Inputs]


@dataclass(frozen=True, kw_only=True)
class Network:
    """One entry.

    Attributes:
        library: Where its code is from.
        name: Unique in its library.
        build: Makes it, with random weights.
        inputs: Makes its inputs at a batch size.
        training: Makes what it is called with in train mode, where that differs.
        batches: Batch sizes at which it is compared; it is traced at the last.
    """

    library: str
    name: str
    build: Callable[[], nn.Module]
    inputs: MakeInputs
    training: MakeInputs | None = None
    batches: tuple[int, ...] = (1, 2)

    @property
    def key(self) -> tuple[str, str]:
        """Library and name."""
        return self.library, self.name


Networks = Iterator[Network]


def images(size: int, channels: int = 3) -> MakeInputs:
    """Return a maker of square images."""
    return lambda batch: torch.randn(batch, channels, size, size)


def numbers(*shape: int) -> MakeInputs:
    """Return a maker of normal numbers, `shape` without the batch."""
    return lambda batch: torch.randn(batch, *shape)


def indices(below: int, *shape: int) -> Callable[[int], Tensor]:
    """Return a maker of whole numbers from 1 up, `shape` without the batch."""
    return lambda batch: torch.randint(1, below, (batch, *shape))


def keywords(**makers: Any) -> MakeInputs:
    """Return a maker of keyword arguments: what is callable is called with the batch size."""
    return lambda batch: {
        name: make(batch) if callable(make) else make for name, make in makers.items()
    }


def nothing_at_its_default(model: nn.Module) -> nn.Module:
    """Move every vector, constant and running statistic off its initial value; return `model`.

    Gains of one, biases of zero and branches that start at zero would hide what goes wrong
    behind them.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point() and (parameter.dim() < 2 or is_constant(parameter)):
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(noise.to(parameter.dtype), alpha=0.1)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1, generator=generator)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5, generator=generator)
    return model


def is_constant(parameter: Tensor) -> bool:
    """Return whether all numbers in `parameter` are the same."""
    return parameter.numel() > 0 and bool((parameter == parameter.flatten()[0]).all())
