"""How many multiply-adds each ATen operator does, as terms over extents.

A term (coefficient, extents) stands for coefficient * prod(size of each extent). Written over
extents instead of numbers, the same term gives the count of the dense model and of any plan.

The counts are half of what `torch.utils.flop_counter.FlopCounterMode` reports. Operators that it
leaves out are counted here: fused attention on the CPU, matrix-vector products, bilinear layers,
grouped matrix products and fused recurrent layers. Like it, we count causal attention in full.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from prunus.extents import Extent, Leaf
from prunus.records import Operator, Value

Term: TypeAlias = tuple[int, tuple[Extent, ...]]
Formula: TypeAlias = Callable[[Operator], tuple[Term, ...]]


def terms_of(operator: Operator) -> tuple[Term, ...]:
    """Return the multiply-adds of one operator; () for one that is not a contraction.

    In-place variants count like the operator that they are a variant of.

    Example:
        >>> def value(*shape):
        ...     return Value(shape, tuple(Leaf(size) for size in shape), torch.float32)
        >>> mm = Operator("mm", (value(4, 8), value(8, 3)), (value(4, 3),), {}, "")
        >>> [(coefficient, [e.size for e in extents]) for coefficient, extents in terms_of(mm)]
        [(1, [4, 8, 3])]
    """
    formula = FORMULAS.get(operator.name.removesuffix("_"))
    return () if formula is None else formula(operator)


def _extents(operator: Operator, position: int) -> tuple[Extent, ...]:
    """What the dims of one tensor argument are made of."""
    value: Value | None = operator.inputs[position]
    assert value is not None, f"{operator.name} was recorded without tensor {position}"
    return value.extents


def _product_of(left: int, right: int) -> Formula:
    """(..., m, k) @ (..., k, n): every element of the left one meets n columns."""

    def formula(operator: Operator) -> tuple[Term, ...]:
        columns = _extents(operator, right)[-1]
        return ((1, (*_extents(operator, left), columns)),)

    return formula


def _every_element_of(position: int) -> Formula:
    """Matrix times vector, or a dot product: each element of one argument is used once."""
    return lambda operator: ((1, _extents(operator, position)),)


def _linear(operator: Operator) -> tuple[Term, ...]:
    """(..., in) with a weight (out, in)."""
    return ((1, (*_extents(operator, 0), _extents(operator, 1)[0])),)


def _grouped_mm(operator: Operator) -> tuple[Term, ...]:
    """Rows (or columns) are dealt out among the matrices; two stacks pair up like bmm."""
    left, right = _extents(operator, 0), _extents(operator, 1)
    batch = left[:-2] if len(right) == 3 else ()
    return ((1, (*batch, *left[-2:], right[-1])),)


def _convolution(operator: Operator) -> tuple[Term, ...]:
    """The whole weight is used at each output position, or each input position if transposed.

    A weight's dims already hold the width per group, so groups need no factor.
    """
    transposed = operator.arguments.get("transposed", False)
    return _convolved(operator, operator.inputs[0] if transposed else operator.outputs[0])


def _convolution_transpose(operator: Operator) -> tuple[Term, ...]:
    return _convolved(operator, operator.inputs[0])


def _convolved(operator: Operator, at: Value | None) -> tuple[Term, ...]:
    assert at is not None, f"{operator.name} was recorded without its input"
    batch, _channels, *positions = at.extents
    return ((1, (batch, *_extents(operator, 1), *positions)),)


def _attention(operator: Operator) -> tuple[Term, ...]:
    """Queries with keys, then weights with values: (batch, heads, positions, width) each."""
    query, key, value = (_extents(operator, position) for position in range(3))
    return ((1, (*query, key[-2])), (1, (*query[:-1], key[-2], value[-1])))


def _attention_by_position(longest: str) -> Formula:
    """The kernels below attention: (batch, positions, heads, width) each.

    Sequences of unequal length come packed, as if in one batch; each query then meets at most
    as many keys as the longest sequence has, which the argument `longest` tells.
    """

    def formula(operator: Operator) -> tuple[Term, ...]:
        query, key, value = (_extents(operator, position) for position in range(3))
        known = operator.arguments.get(longest)
        keys = Leaf(int(known)) if known is not None else key[-3]
        return ((1, (*query, keys)), (1, (*query[:-1], keys, value[-1])))

    return formula


def _recurrent(operator: Operator) -> tuple[Term, ...]:
    """Each weight matrix is used once per element of the sequence.

    Layers of a fused kernel may have several matrices; biases and states are not 2-d weights.
    """
    *positions, _features = _extents(operator, 0)
    last = 3 if operator.name == "mkldnn_rnn_layer" else len(operator.inputs)
    matrices = (value for value in operator.inputs[1:last] if value and len(value.shape) == 2)
    return tuple((1, (*positions, *matrix.extents)) for matrix in matrices)


def _trilinear(operator: Operator) -> tuple[Term, ...]:
    """Behind nn.Bilinear: the whole weight (out, in1, in2) is used at each row of the input."""
    *rows, _features = _extents(operator, 0)
    return ((1, (*rows, *_extents(operator, 1))),)


def _table(*rows: tuple[Formula, str]) -> Mapping[str, Formula]:
    return {name: formula for formula, names in rows for name in names.split()}


FORMULAS: Mapping[str, Formula] = _table(
    (_product_of(0, 1), "mm bmm _int_mm _scaled_mm"),
    (_product_of(1, 2), "addmm baddbmm addbmm _addmm_activation"),
    (_grouped_mm, "_grouped_mm _scaled_grouped_mm"),
    (_every_element_of(0), "mv dot vdot"),
    (_every_element_of(1), "addmv"),
    (_linear, "linear mkldnn_linear"),
    (_convolution, "convolution _convolution convolution_overrideable cudnn_convolution"),
    (_convolution, "_slow_conv2d_forward slow_conv3d_forward _conv_depthwise2d conv_depthwise3d"),
    (_convolution, "mkldnn_convolution miopen_convolution miopen_depthwise_convolution"),
    (_convolution_transpose, "cudnn_convolution_transpose miopen_convolution_transpose"),
    (_attention, "scaled_dot_product_attention flex_attention _cudnn_attention_forward"),
    (_attention, "_scaled_dot_product_attention_math _scaled_dot_product_attention_math_for_mps"),
    (_attention, "_scaled_dot_product_flash_attention _scaled_dot_product_efficient_attention"),
    (_attention, "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_cudnn_attention"),
    (_attention, "_scaled_dot_product_fused_attention_overrideable"),
    (_attention_by_position("max_k"), "_flash_attention_forward"),
    (_attention_by_position("max_seqlen_k"), "_efficient_attention_forward"),
    (_recurrent, "mkldnn_rnn_layer _cudnn_rnn miopen_rnn"),
    (_trilinear, "_trilinear"),
)
