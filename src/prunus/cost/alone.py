"""Operators taken out of their model, to be run alone at other sizes.

What an operator reads is a few tensors, and of their dims a plan changes a few factors: the two
widths of a linear layer or convolution. How long it takes is measured over these. Of all others,
which do little but read and write, it is measured over how much that is.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations
from math import prod
from typing import Any, TypeAlias

import torch

from prunus.cost.macs import Term, terms_of
from prunus.extents import Extent, axes_of, factors_of, size_kept
from prunus.records import Operator, Value

Shape: TypeAlias = tuple[int, ...]
Sizes: TypeAlias = Mapping[Extent, int]
"""How large each factor that a plan can change is."""

_CONTRACTIONS = frozenset({
    "mm", "addmm", "bmm", "baddbmm", "addbmm", "linear", "_addmm_activation", "convolution",
    "_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_cudnn_attention",
})  # fmt: skip

# Besides what PyTorch calls pointwise; no argument of theirs but those below follows a size.
_OTHERS = frozenset({
    "_native_batch_norm_legit_no_training", "native_batch_norm", "cudnn_batch_norm",
    "miopen_batch_norm", "native_layer_norm", "_fused_rms_norm", "_softmax", "_safe_softmax",
    "_log_softmax", "mean", "sum", "amax", "amin", "cat", "stack", "clone", "copy", "_to_copy",
    "max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "avg_pool1d", "avg_pool3d",
    "max_pool3d_with_indices", "_adaptive_avg_pool3d", "upsample_nearest2d",
    "upsample_bilinear2d", "constant_pad_nd", "embedding",
})  # fmt: skip

# Views and what makes constants: hardly any time, whatever the sizes.
_FREE = frozenset({
    "_reshape_alias", "_unsafe_view", "alias", "arange", "as_strided", "detach", "empty",
    "empty_like", "expand", "full", "lift_fresh", "ones", "permute", "scalar_tensor", "select",
    "slice", "split", "split_with_sizes", "squeeze", "t", "transpose", "unbind", "unfold",
    "unsafe_split", "unsqueeze", "view", "zeros",
})  # fmt: skip


@dataclass(frozen=True)
class Alone:
    """An operator and what of its sizes a plan can change.

    Attributes:
        operator: As it ran.
        factors: What the dims of its inputs are made of that a plan can change, each once.
        free: The axes that a plan can cut.
    """

    operator: Operator
    factors: tuple[Extent, ...]
    free: Collection[str]

    @cached_property
    def by_work(self) -> bool:
        """Whether its time is told by one figure, `work`; else by the size of each factor."""
        most = 2 if self.operator.name in _CONTRACTIONS else 1
        dependent = any(axes_of(a) & axes_of(b) for a, b in combinations(self.factors, 2))
        return dependent or len(self.factors) > most

    def at(self, counts: Mapping[str, int]) -> tuple[int, ...]:
        """Return what tells its time when `counts[axis]` units of each named axis are kept."""
        return self.point({factor: size_kept(factor, counts) for factor in self.factors})

    def point(self, sizes: Sizes) -> tuple[int, ...]:
        """Return what tells its time at such sizes."""
        if self.by_work:
            return (sum(number * self._size(extents, sizes) for number, extents in self._work),)
        return tuple(sizes[factor] for factor in self.factors)

    @cached_property
    def _work(self) -> tuple[Term, ...]:
        """Its multiply-adds; where it has none, the numbers that it reads and writes."""
        operator = self.operator
        values = (value for value in (*operator.inputs, *operator.outputs) if value is not None)
        return terms_of(operator) or tuple((1, value.extents) for value in values)

    def _size(self, extents: Iterable[Extent], sizes: Sizes) -> int:
        return prod(sizes.get(factor, factor.size) for factor in factors_of(extents))

    def shape(self, value: Value, sizes: Sizes) -> Shape:
        """Return the shape of one of its tensors at such sizes."""
        return tuple(self._size([extent], sizes) for extent in value.extents)

    def arguments(self, sizes: Sizes) -> dict[str, Any]:
        """Return its arguments that are no tensors at such sizes."""
        changed = {}
        if (follow := _FOLLOW.get(self.operator.name)) is not None:
            changed = follow(self, sizes)
        return {**self.operator.arguments, **changed}

    @cached_property
    def name(self) -> str:
        """What it is in words, the same for layers that are alike.

        Sizes that a plan can change are letters, with the dense size behind.
        """
        letters = {factor: f"n{number}" for number, factor in enumerate(self.factors)}

        def dim(extent: Extent) -> str:
            found = [letters[factor] for factor in factors_of([extent]) if factor in letters]
            rest = self._size([extent], dict.fromkeys(self.factors, 1))
            return "*".join([str(rest)] * (rest > 1 or not found) + found)

        shapes = (
            "none"
            if value is None
            else f"{str(value.dtype).removeprefix('torch.')} {' x '.join(map(dim, value.extents))}"
            for value in self.operator.inputs
        )
        sizes = (f"{letter}={factor.size}" for factor, letter in letters.items())
        plain = (
            f"{name}={value}"
            for name, value in self.operator.arguments.items()
            if value is not None
        )
        parts = (", ".join(part) for part in (shapes, sizes, plain))
        return f"{self.operator.function}({'; '.join(part for part in parts if part)})"


def alone(operator: Operator, free: Collection[str]) -> Alone | None:
    """Return an operator as one that can be timed alone; None where it cannot.

    Args:
        operator: From a trace.
        free: The axes that a plan can cut.
    """
    kind = operator.name.removesuffix("_")
    if operator.function is None or operator.function.namespace != "aten":
        return None
    known = kind in _CONTRACTIONS or kind in _OTHERS or is_pointwise(operator.function)
    if not known or kind in _FREE:
        return None
    values = (value for value in operator.inputs if value is not None)
    factors = factors_of(extent for value in values for extent in value.extents)
    return Alone(operator, tuple(dict.fromkeys(f for f in factors if axes_of(f) & set(free))), free)


def unmeasured(operator: Operator, free: Collection[str]) -> bool:
    """Return whether an operator takes time that a plan can change, and is not timed alone."""
    values = (value for value in (*operator.inputs, *operator.outputs) if value is not None)
    axes = {axis for value in values for extent in value.extents for axis in axes_of(extent)}
    kind = operator.name.removesuffix("_")
    return bool(axes & set(free)) and kind not in _FREE and alone(operator, free) is None


@cache
def is_pointwise(function: Any) -> bool:
    """Return whether PyTorch itself says that an operator, or the one it does in place, is."""
    if torch.Tag.pointwise in function.tags:
        return True
    name = function._schema.name.split("::")[1].removesuffix("_")
    packet = getattr(torch.ops.aten, name, None)
    overloads = [getattr(packet, overload) for overload in packet.overloads()] if packet else []
    return bool(overloads) and all(torch.Tag.pointwise in each.tags for each in overloads)


def _groups(one: Alone, sizes: Sizes) -> dict[str, int]:
    """A weight's second dim is as wide as one group."""
    data, weight, *_ = one.operator.inputs
    value = one.operator.outputs[0] if one.operator.arguments["transposed"] else data
    assert value is not None and weight is not None
    return {"groups": one.shape(value, sizes)[1] // one.shape(weight, sizes)[1]}


def _normalized_shape(one: Alone, sizes: Sizes) -> dict[str, list[int]]:
    data, dims = one.operator.inputs[0], len(one.operator.arguments["normalized_shape"])
    assert data is not None
    return {"normalized_shape": list(one.shape(data, sizes)[-dims:])}


# Arguments that follow sizes.
_FOLLOW: Mapping[str, Callable[[Alone, Sizes], dict[str, Any]]] = {
    "convolution": _groups,
    "native_layer_norm": _normalized_shape,
    "_fused_rms_norm": _normalized_shape,
}
