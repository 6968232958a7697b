"""Operators that treat every element alike: dims unify by broadcasting.

Which outputs are zero where a removed unit lies is not written down per operator: the operator
itself is asked, on scalars that are zero where the masked model has zeros.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from prunus.trace.axes import Node, fresh
from prunus.trace.call import Call, Dims, for_real, rule

PROBES = (0.0, 0.5, -1.25, 2.75)


@rule(
    "clone", "detach", "detach_", "alias", "_to_copy", "lift_fresh",
    "lift_fresh_copy", "copy", "copy_", "masked_fill", "masked_fill_", "nan_to_num", "nan_to_num_",
    "hardswish", "log_sigmoid_forward", "_prelu_kernel", "floor_divide", "rrelu_with_noise",
    "complex", "polar", "_conj", "_conj_physical", "_neg_view",
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
        answer = _ask(call, zero) if zero and size > 1 else _Answer()
        if not answer.finite:
            call.mark_inexact(node, "is not finite where its arguments are zero")
        results.append((node, answer.zero))
    nodes = tuple(node for node, _ in results)
    others = Dims(nodes, (False,) * len(nodes))  # only the first was asked for
    return [Dims(nodes, tuple(zero for _, zero in results)), *[others] * (len(call.outputs) - 1)]


@rule(
    "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "fill_",
    "zero_", "bernoulli", "bernoulli_", "uniform_", "normal_", "exponential_", "cauchy_",
    "log_normal_", "geometric_", "random_", "poisson",
)  # fmt: skip
def filled(call: Call) -> Dims:
    """Same dims, other values."""
    dims = call.dims("self" if "self" in call.arguments else "input")
    zeros = call.name in ("zeros_like", "zero_")
    return Dims(dims.nodes, (zeros,) * len(dims.nodes))


@rule("native_dropout")
def dropout(call: Call) -> Sequence[Dims]:
    """Zeros stay zeros; the mask has none."""
    inputs = call.dims("input")
    return [inputs, Dims(inputs.nodes, (False,) * len(inputs.nodes))]


def _unified(call: Call, nodes: list[Node], size: int) -> Node:
    for other in nodes[1:]:
        if size > 1:
            call.unify(nodes[0], other)
    return nodes[0].find() if nodes else fresh(size)


@dataclass(frozen=True)
class _Answer:
    """What becomes of zeros: zero again whatever the other arguments are; ever a finite number."""

    zero: bool = False
    finite: bool = True


_ANSWERS: dict[Any, _Answer] = {}


def _ask(call: Call, zero: frozenset[str]) -> _Answer:
    """Run the operator on zeros for the arguments named in `zero` and all kinds of other ones."""
    plain = tuple(
        (name, value.dtype if isinstance(value, Tensor) else repr(value))
        for name, value in call.arguments.items()
    )
    question = (call.function, zero, plain)
    if question not in _ANSWERS:
        tensors = {n: v.dtype for n, v in call.arguments.items() if isinstance(v, Tensor)}
        probes = [(0.0,) if name in zero else PROBES for name in tensors]
        results = [_run(call, tensors, numbers) for numbers in itertools.product(*probes)]
        _ANSWERS[question] = _Answer(
            # 0 / 0 is as rare in the rest of the model as the zero below.
            zero=all(found == 0 or (found != found and len(results) > 1) for found in results),
            finite=any(found is None or isfinite(found) for found in results),
        )
    return _ANSWERS[question]


def _run(call: Call, tensors: Mapping[str, torch.dtype], numbers: Sequence[float]) -> float | None:
    """Return what the operator makes of these numbers; None where it does not run on them."""
    with for_real():
        arguments = {
            name: torch.full((1,), number).to(dtype)
            for (name, dtype), number in zip(tensors.items(), numbers, strict=True)
        }
        try:
            result = call.run_on(arguments)
        except (RuntimeError, NotImplementedError):
            return None
        first = result[0] if isinstance(result, (tuple, list)) else result
        return float(first.abs()) if first.is_complex() else float(first)
