"""Latency tables without a clock: an operator takes a millisecond for each number that it reads."""

from collections.abc import Callable
from typing import Any

from torch import nn

from prunus.cost import LatencyTable
from prunus.cost.timing import Call, measure_table
from prunus.inputs import tensors_in
from prunus.trace import trace


def numbers_read(call: Call) -> float:
    """Return the seconds that a call takes: a millisecond for each number of its tensors."""
    return 1e-3 * sum(tensor.numel() for tensor in tensors_in((call.positional, call.keyword)))


def pretended_table(
    model: nn.Module,
    inputs: Any,
    *,
    milliseconds: float,
    watch: Callable[[Call], float] = numbers_read,
    **settings: Any,
) -> LatencyTable:
    """Return the table of a model of which a pass takes so many milliseconds as a whole."""
    graph = trace(model, inputs)
    return measure_table(
        model, inputs, graph, watch=watch, whole=lambda *_: lambda: milliseconds / 1e3, **settings
    )
