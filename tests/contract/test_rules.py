"""What every rule must keep: where it says that units can go, masked equals shrunk.

The models are in `cases_*.py` beside this file, one file per family of operators; a new rule needs
one more model there and nothing here.
"""

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import torch
from models import CASES, Case, Net
from torch import Tensor, nn

from prunus.extents import Extent, Leaf, Product, axes_of
from prunus.inputs import call, tensors_in
from prunus.records import Graph, Kept, Plan
from prunus.shrink import shrink, sized
from prunus.trace import replay, trace
from prunus.trace.call import RULES

for _file in sorted(Path(__file__).parent.glob("cases_*.py")):
    import_module(_file.stem)

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


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


def plans(graph: Graph) -> Iterator[Plan]:
    """Yield a half of each group alone, of all, and what chance leaves of all."""
    generator = torch.Generator().manual_seed(0)
    axes = free_axes(graph)
    halves = {name: torch.arange(size) % 2 == 0 for name, size in axes.items()}
    chance = {name: torch.rand(size, generator=generator) < 0.6 for name, size in axes.items()}
    for mask_U in chance.values():
        mask_U[-1] = True  # a group keeps one unit at least
    alone = [{name: mask_U} for name, mask_U in halves.items()]
    for kept in [*alone, *([halves] if len(halves) > 1 else []), *([chance] if chance else [])]:
        yield plan_of(graph, kept)


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


# -- the contract -----------------------------------------------------------------------------


def build(case: Case, memory_format: torch.memory_format) -> Net:
    """Return the model; in channels_last, its convolutions lie so in memory."""
    return case.build().to(memory_format=memory_format)


def inputs_of(case: Case, size: int, memory_format: torch.memory_format) -> tuple[Tensor, ...]:
    inputs = case.inputs(size)
    return tuple(
        tensor.contiguous(memory_format=memory_format) if tensor.dim() == 4 else tensor
        for tensor in inputs
    )


def check_contract(case: Case, memory_format: torch.memory_format = FORMATS["contiguous"]) -> None:
    """Prune all that prunus says can be pruned, in many ways; compare with the masked model."""
    model = build(case, memory_format)
    batches = [inputs_of(case, size, memory_format) for size in range(len(case.sizes))]
    graph = trace(model, batches[0])
    for plan in plans(graph):
        with sized(model, plan):
            divergence = replay(model, batches[0], graph, plan.counts)
        assert divergence is None, f"replay: {divergence}"
        small, twin = shrink(model, plan), masked(model, plan)
        for inputs in batches:
            assert_same(call(twin, inputs), call(small, inputs))
        assert_trains(small, batches[0])


def assert_same(expected: object, found: object) -> None:
    for one, other in zip(tensors_in(expected), tensors_in(found), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-9, equal_nan=True)


def assert_trains(model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """A forward, a backward and a step of SGD run in training mode."""
    model = copy.deepcopy(model).train()
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    outputs = call(model, inputs)
    sum(t.square().sum() for t in tensors_in(outputs) if t.is_floating_point()).backward()
    optimizer.step()
    assert all(parameter.isfinite().all() for parameter in model.parameters())


each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@each_case
def test_masked_equals_shrunk(case: Case) -> None:
    check_contract(case)


@pytest.mark.parametrize("case", [c for c in CASES.values() if c.inputs()[0].dim() == 4], ids=lambda case: case.name)
def test_masked_equals_shrunk_in_channels_last(case: Case) -> None:
    check_contract(case, FORMATS["channels_last"])


@cache
def traced(case_name: str) -> Graph:
    case = CASES[case_name]
    return trace(case.build(), case.inputs())


@each_case
def test_what_can_be_pruned(case: Case) -> None:
    assert free_axes(traced(case.name)) == case.free


@each_case
def test_what_cannot_be_pruned_and_why(case: Case) -> None:
    axes = traced(case.name).axes
    for name, why in case.kept.items():
        reasons = [axes[name].frozen_because or "", *axes[name].inexact_because]
        assert any(why in reason for reason in reasons), f"{name}: {reasons}"
