"""Tiny models, each with one hard thing in it, and what prunus must make of each.

A model is one function of a `net`, which holds its modules, parameters and sizes:

    @case(IMAGES, lambda: {"one": conv(3, 8), "two": conv(8, 4)}, free={"one": 8})
    def chain(net, x):
        return net.two(net.one(x).relu())

`free` is every axis that may be pruned, with its size; `kept` says, for some that may not, why.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from prunus.extents import Extent, Leaf, Product, axes_of
from prunus.records import Graph, Kept, Plan
from prunus.trace import trace

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


# -- plans ------------------------------------------------------------------------------------


def free_axes(graph: Graph) -> dict[str, int]:
    """Return every axis that may be pruned exactly, with its size."""
    axes = graph.axes.values()
    return {a.name: a.size for a in axes if a.frozen_because is None and not a.inexact_because}


def plan_of(graph: Graph, kept: Mapping[str, Tensor]) -> Plan:
    return Plan(
        granularity="channel",
        kept={name: Kept.of(mask_U) for name, mask_U in kept.items()},
        tensors={
            name: value.extents
            for name, value in graph.tensors.items()
            if any(axes_of(extent) & kept.keys() for extent in value.extents)
        },
        attributes=tuple(a for a in graph.attributes if axes_of(a.extent) & kept.keys()),
    )


# -- an independent mask ----------------------------------------------------------------------


def owners(extent: Extent) -> list[set[tuple[str, int]]]:
    """Return, for every position, the (axis, unit) pairs that own it."""
    if isinstance(extent, Leaf):
        return [{(extent.axis, unit)} if extent.axis else set() for unit in range(extent.size)]
    parts = [owners(part) for part in extent.parts]
    if not isinstance(extent, Product):
        return [owner for part in parts for owner in part]
    whole: list[set[tuple[str, int]]] = [set()]
    for part in parts:
        whole = [outer | inner for outer in whole for inner in part]
    return whole


def masked(model: nn.Module, plan: Plan) -> nn.Module:
    """Return a copy of `model` with all that removed units own at zero."""
    kept = {name: each.mask().tolist() for name, each in plan.kept.items()}
    twin = copy.deepcopy(model)
    for name, parameter in twin.named_parameters():
        for dim, extent in enumerate(plan.tensors.get(name, ())):
            for position, owner in enumerate(owners(extent)):
                if any(not kept[axis][unit] for axis, unit in owner if axis in kept):
                    parameter.data.select(dim, position).zero_()
    return twin


def halved(model: nn.Module, inputs: Any) -> Plan:
    """Return a plan that keeps every other unit of all that may be pruned, the second first."""
    graph = trace(model, inputs)
    kept = {name: torch.arange(size) % 2 == 1 for name, size in free_axes(graph).items()}
    return plan_of(graph, kept)
