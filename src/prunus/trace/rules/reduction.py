"""Reductions and softmax.

Whether a reduction is exact is not written down per operator: the operator itself is asked
whether a zero more changes its result.
"""

from collections.abc import Sequence
from typing import Any

import torch

from prunus.trace.axes import Mismatch, fresh
from prunus.trace.call import Call, Dims, for_real, rule

PROBES = ((0.75, -1.5, 0.25), (1.5, 0.25), (-0.25, -1.5))


@rule(
    "sum", "mean", "amax", "amin", "var", "std", "prod", "any", "all", "logsumexp",
    "linalg_vector_norm", "norm", "argmax", "argmin", "nansum", "count_nonzero", "var_mean",
    "std_mean", "aminmax",
)  # fmt: skip
def reduction(call: Call) -> Sequence[Dims]:
    """The reduced dims go; the others stay."""
    inputs = call.dims("self")
    rank = len(inputs.nodes)
    reduced = set(call.dim_list(of=rank)) if "dim" in call.arguments else set(range(rank))
    for dim in sorted(reduced):
        exact = inputs.zero[dim] and all(
            _ask(call, probe) == _ask(call, (0.0, *probe)) == _ask(call, (*probe, 0.0))
            for probe in PROBES
        )
        if not exact and inputs.nodes[dim].size > 1:
            call.mark_inexact(inputs.nodes[dim], "reduces over the units")
    keeps_zero = _ask(call, (0.0, 0.0)) == 0
    nodes, zero = [], []
    for dim in range(rank):
        if dim not in reduced:
            nodes.append(inputs.nodes[dim])
            zero.append(inputs.zero[dim] and keeps_zero)
        elif call.get("keepdim"):
            nodes.append(fresh(1))
            zero.append(False)
    return [Dims(tuple(nodes), tuple(zero))] * len(call.outputs)


_RESULTS: dict[Any, float] = {}


def _ask(call: Call, values: tuple[float, ...]) -> float:
    """Reduce a vector of `values` by the same operator, for real; once for all calls of a kind."""
    plain = [(k, repr(v)) for k, v in call.arguments.items() if k not in ("self", "dim")]
    question = (call.function, call["self"].dtype, call.get("dim") is None, tuple(plain), values)
    if question not in _RESULTS:
        _RESULTS[question] = _reduced(call, values)
    return _RESULTS[question]


def _reduced(call: Call, values: tuple[float, ...]) -> float:
    with for_real():
        replaced: dict[str, Any] = {"self": torch.tensor(values).to(call["self"].dtype)}
        if "dim" in call.arguments:
            dim = call["dim"]
            replaced["dim"] = dim if dim is None else 0 if isinstance(dim, int) else [0]
        result = call.run_on(replaced)
        first = result if isinstance(result, torch.Tensor) else result[0]
        return float(first)


@rule("max", "min", "median", "nanmedian", "mode", "kthvalue")
def reduction_with_indices(call: Call) -> list[Dims]:
    """Reduce one dim; give values and their places."""
    inputs = call.dims("self")
    rank = len(inputs.nodes)
    dim = call.dim(of=rank) if "dim" in call.arguments else None
    for place in range(rank) if dim is None else [dim]:
        call.mark_inexact(inputs.nodes[place], "reduces over the units")
    if dim is None:
        return [Dims((), ())]
    result = inputs.picked([place for place in range(rank) if place != dim])
    if call["keepdim"]:
        nodes, zero = list(result.nodes), list(result.zero)
        nodes.insert(dim, fresh(1))
        zero.insert(dim, False)
        result = Dims(tuple(nodes), tuple(zero))
    return [result, Dims(result.nodes, (False,) * len(result.nodes))]


@rule("_softmax", "_safe_softmax", "_log_softmax", "logcumsumexp")
def along_a_dim(call: Call) -> Dims:
    """Mix the elements along a dim."""
    inputs = call.dims("self")
    rank = len(inputs.nodes)
    call.mark_inexact(inputs.nodes[call.dim(of=rank)], MIXES)
    return Dims(inputs.nodes, (False,) * rank)


MIXES = "mixes the units"


@rule("cumsum", "cumprod", "sort", "cummax", "cummin")
def in_order(call: Call) -> list[Dims]:
    """Mix the elements along a dim; zeros all along it stay, and places are no values."""
    inputs = call.dims("self")
    rank = len(inputs.nodes)
    dim = call.dim(of=rank)
    call.mark_inexact(inputs.nodes[dim], MIXES)
    values = inputs.replaced(dim, inputs.nodes[dim], zero=False)
    places = Dims(inputs.nodes, (False,) * rank)
    return [values, *[places] * (len(call.outputs) - 1)]


@rule("topk")
def topk(call: Call) -> list[Dims]:
    """Pick the largest along a dim: which ones is not known beforehand."""
    inputs = call.dims("self")
    dim = call.dim(of=len(inputs.nodes))
    call.mark_inexact(inputs.nodes[dim], "picks units by value")
    number = fresh(call.outputs[0].shape[dim], f"number of picked units at {call.location}")
    picked = inputs.replaced(dim, number, zero=False)
    places = Dims(picked.nodes, (False,) * len(picked.nodes), points_to=inputs.nodes[dim])
    return [picked, places]


@rule("histc")
def histogram(call: Call) -> Dims:
    """Count the places that point to each unit, as tokens per expert; of others just count."""
    target, bins = call.dims("self").points_to, int(call["bins"])
    if target is None or target.size != bins:
        raise Mismatch("counts values")
    return Dims((target.find(),), (False,))
