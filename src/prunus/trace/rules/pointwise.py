"""Operators that treat every element alike: dims unify by broadcasting.

Which outputs are zero where a removed unit lies is not written down per operator: the operator
itself is asked, on scalars that are zero where the masked model has zeros.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from prunus.trace.axes import Node, fresh
from prunus.trace.call import Call, Dims, for_real, rule

PROBES = (0.5, -1.25, 2.75)


@rule(
    "clone", "detach", "detach_", "alias", "_to_copy", "contiguous", "lift_fresh",
    "lift_fresh_copy", "copy", "copy_", "masked_fill", "masked_fill_", "nan_to_num", "nan_to_num_",
)  # fmt: skip
def pointwise(call: Call) -> Sequence[Dims]:
    """Unify the dims of all tensor arguments as broadcasting aligns them."""
    operands = [
        (name, call.dims_of(value))
        for name, value in call.arguments.items()
        if isinstance(value, Tensor)
    ]
    shape = call.outputs[0].shape
    results = []
    for dim, size in enumerate(shape):
        from_right = len(shape) - dim
        whole = {
            name: (dims, len(dims.nodes) - from_right)
            for name, dims in operands
            if len(dims.nodes) >= from_right
            and dims.nodes[len(dims.nodes) - from_right].size == size
        }
        node = _unified(call, [dims.nodes[at] for dims, at in whole.values()], size)
        zero = frozenset(name for name, (dims, at) in whole.items() if dims.zero[at])
        results.append((node, bool(zero) and size > 1 and _stays_zero(call, zero)))
    dims = Dims(tuple(node for node, _ in results), tuple(zero for _, zero in results))
    return [dims] * len(call.outputs)


@rule(
    "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "fill_",
    "zero_", "bernoulli", "bernoulli_", "uniform_", "normal_",
)  # fmt: skip
def filled(call: Call) -> Dims:
    """Same dims, other values."""
    dims = call.dims("self" if "self" in call.arguments else "input")
    zeros = call.name in ("zeros_like", "zero_")
    return Dims(dims.nodes, (zeros,) * len(dims.nodes))


@rule("dropout", "native_dropout", "alpha_dropout")
def dropout(call: Call) -> Sequence[Dims]:
    """Zeros stay zeros."""
    return [Dims(call.dims("input").nodes, call.dims("input").zero)] * len(call.outputs)


def _unified(call: Call, nodes: list[Node], size: int) -> Node:
    for other in nodes[1:]:
        if size > 1:
            call.unify(nodes[0], other)
    return nodes[0].find() if nodes else fresh(size)


_ANSWERS: dict[Any, bool] = {}


def _stays_zero(call: Call, zero: frozenset[str]) -> bool:
    """Whether the result is zero wherever the arguments named in `zero` are, whatever the rest."""
    plain = tuple(
        (name, value.dtype if isinstance(value, Tensor) else repr(value))
        for name, value in call.arguments.items()
    )
    question = (call.function, zero, plain)
    if question not in _ANSWERS:
        _ANSWERS[question] = all(_is_zero(call, zero, probe) for probe in PROBES)
    return _ANSWERS[question]


def _is_zero(call: Call, zero: frozenset[str], probe: float) -> bool:
    with for_real():
        arguments = {
            name: torch.full((1,), 0.0 if name in zero else probe).to(value.dtype)
            for name, value in call.arguments.items()
            if isinstance(value, Tensor)
        }
        try:
            result = call.run_on(arguments)
        except (RuntimeError, NotImplementedError):
            return False  # the operator does not run on such scalars: nothing is known
        first = result[0] if isinstance(result, (tuple, list)) else result
        return bool((first == 0).all())
