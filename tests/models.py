"""Tiny models, each with one hard thing in it, and what prunus must make of each.

A model is one function of a `net`, which holds its modules, parameters and sizes:

    @case(IMAGES, lambda: {"one": conv(3, 8), "two": conv(8, 4)}, free={"one": 8})
    def chain(net, x):
        return net.two(net.one(x).relu())

`free` is every axis that may be pruned, with its size; `kept` says, for some that may not, why.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

Inputs = tuple[Tensor, ...]
Forward = Callable[..., Any]


class Net(nn.Module):
    """A module whose forward is a function of it."""

    def __init__(self, forward: Forward, parts: Mapping[str, Any]) -> None:
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: Any) -> Any:
        return self.function(self, *inputs)


@dataclass(frozen=True)
class Case:
    """One model, its inputs in two sizes, and what must be prunable in it."""

    name: str
    forward: Forward
    parts: Callable[[], Mapping[str, Any]]
    sizes: Sequence[Callable[[], Inputs]]
    free: Mapping[str, int]
    kept: Mapping[str, str] = field(default_factory=dict)

    def build(self) -> Net:
        """Return the model in float64 and eval mode, with no number in it at its default."""
        torch.manual_seed(0)
        net = Net(self.forward, self.parts()).double().eval()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.normal_(std=0.5)
            for name, buffer in net.named_buffers():
                if buffer.is_floating_point():
                    buffer.uniform_(0.5, 2) if name.endswith("var") else buffer.normal_()
        return net

    def inputs(self, size: int = 0) -> Inputs:
        """Return inputs of the first or second size."""
        torch.manual_seed(1 + size)
        return self.sizes[size]()


CASES: dict[str, Case] = {}


def case(
    sizes: Sequence[Callable[[], Inputs]],
    parts: Callable[[], Mapping[str, Any]],
    *,
    free: Mapping[str, int] | None = None,
    kept: Mapping[str, str] | None = None,
) -> Callable[[Forward], Forward]:
    """Register a model by the name of its function."""

    def register(forward: Forward) -> Forward:
        name = forward.__name__
        assert name not in CASES, f"two models are called {name}"
        CASES[name] = Case(name, forward, parts, sizes, free or {}, kept or {})
        return forward

    return register


# -- inputs, each in two sizes ----------------------------------------------------------------


def numbers(*sizes: Sequence[int]) -> list[Callable[[], Inputs]]:
    """Return one tensor of random numbers in each of `sizes`."""
    return [partial(_numbers, size) for size in sizes]


def _numbers(size: Sequence[int]) -> Inputs:
    return (torch.randn(*size, dtype=torch.float64),)


def indices(below: int, *sizes: Sequence[int]) -> list[Callable[[], Inputs]]:
    """Return one tensor of random whole numbers in each of `sizes`."""
    return [partial(_indices, below, size) for size in sizes]


def _indices(below: int, size: Sequence[int]) -> Inputs:
    return (torch.randint(below, tuple(size)),)


ROWS = numbers((3, 6), (5, 6))  # batch, features
LINES = numbers((2, 3, 9), (3, 3, 11))  # batch, channels, length
IMAGES = numbers((2, 3, 6, 6), (3, 3, 8, 10))  # batch, channels, height, width
SQUARES = numbers((2, 3, 6, 6), (3, 3, 6, 6))  # where the model takes one size of image
VOLUMES = numbers((2, 3, 4, 4, 4), (3, 3, 5, 4, 6))
SEQUENCES = numbers((2, 5, 6), (3, 7, 6))  # batch, tokens, features
TOKENS = indices(11, (2, 5), (3, 7))


# -- parts ------------------------------------------------------------------------------------


def conv(inputs: int, outputs: int, kernel: int = 3, **settings: Any) -> nn.Conv2d:
    """Return a convolution that keeps the size of an image."""
    settings.setdefault("padding", kernel // 2)
    return nn.Conv2d(inputs, outputs, kernel, **settings)


def linear(inputs: int, outputs: int, **settings: Any) -> nn.Linear:
    """Return a linear layer."""
    return nn.Linear(inputs, outputs, **settings)


def weight(*size: int) -> nn.Parameter:
    """Return a bare parameter; the model gives it its numbers."""
    return nn.Parameter(torch.zeros(size))
