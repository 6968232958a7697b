"""Convolutions of any dimension, grouped, depthwise and transposed.

Legend: O output channels, I input channels, G groups; weight is (O, I/G, ...), or
(I, O/G, ...) where transposed.
"""

from prunus.trace.axes import KERNEL, SPACE, Node, freeze, fresh, product, split
from prunus.trace.call import NOT_ZERO, Call, Dims, rule


@rule("convolution", "_convolution")
def convolution(call: Call) -> Dims:
    """Input channels meet the weight's, group by group."""
    bias = call.dims("bias") if call["bias"] is not None else None
    return met_channels(
        call,
        call.dims("input"),
        call.dims("weight"),
        bias,
        groups=int(call["groups"]),
        transposed=bool(call["transposed"]),
    )


def met_channels(
    call: Call,
    inputs: Dims,
    weight: Dims,
    bias: Dims | None,
    *,
    groups: int,
    transposed: bool = False,
) -> Dims:
    """Return the dims of a convolution, once its channels have met."""
    for node in weight.nodes[2:]:
        freeze(node, KERNEL)
    call.run_along(inputs.nodes[2:])
    meet = _transposed if transposed else _forward
    outputs = meet(call, inputs.nodes[1], weight, groups)
    summed, made = (0, 1) if transposed else (1, 0)
    if not (inputs.zero[1] or weight.zero[summed]):
        call.mark_inexact(inputs.nodes[1], NOT_ZERO)
    zero = weight.zero[made]
    if bias is not None:
        call.unify(bias.nodes[0], outputs)
        zero = zero and bias.zero[0]
    space = [fresh(size, SPACE) for size in call.outputs[0].shape[2:]]
    return Dims((inputs.nodes[0], outputs.find(), *space), (False, zero, *[False] * len(space)))


def _forward(call: Call, channels: Node, weight: Dims, groups: int) -> Node:
    outputs, per_group = weight.nodes[:2]
    if groups == 1:
        call.unify(channels, per_group)
        return outputs
    group, _ = split(outputs, groups)
    call.unify(channels, product([group, per_group]))
    return outputs


def _transposed(call: Call, channels: Node, weight: Dims, groups: int) -> Node:
    inputs, per_group = weight.nodes[:2]
    call.unify(channels, inputs)
    if groups == 1:
        return per_group
    group, _ = split(inputs, groups)
    return product([group, per_group])
