"""Normalisations. One over the units themselves changes with their number: inexact."""

from collections.abc import Iterable, Sequence

from torch import Tensor

from prunus.trace.axes import Node, fresh, split
from prunus.trace.call import Call, Dims, rule

OVER = "normalises over the units, so the rest changes with their number"


def _scaled(call: Call, inputs: Dims, dim: int, names: Iterable[str]) -> bool:
    """Meet the per-channel tensors; whether a scale brings removed units to zero."""
    for name in names:
        if isinstance(call.get(name), Tensor):
            call.unify(call.dims(name).nodes[0], inputs.nodes[dim])
    scaled, shifted = call.get("weight"), call.get("bias")
    return (
        scaled is not None
        and call.dims("weight").zero[0]
        and (shifted is None or call.dims("bias").zero[0])
    )


def _statistics(call: Call, nodes: Sequence[Node]) -> list[Dims]:
    """Dims of the further outputs, means and variances: `nodes`, or empty where there are none."""
    whole = tuple(node.find() for node in nodes)
    return [
        Dims(whole if tensor.numel() else (fresh(0),), (False,) * tensor.dim())
        for tensor in call.outputs[1:]
    ]


@rule(
    "native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training", "_batch_norm_with_update", "_batch_norm_no_update",
)  # fmt: skip
def batch_norm(call: Call) -> Sequence[Dims]:
    """Scale, shift and running statistics belong to the channels.

    Without running statistics, as where weights are standardised, the mean is that of the input
    over all other dims: their zeros are lost.
    """
    inputs = call.dims("input")
    if call.get("training"):
        for dim in (dim for dim in range(len(inputs.nodes)) if dim != 1):
            call.mark_inexact(inputs.nodes[dim], OVER)
            inputs = inputs.replaced(dim, inputs.nodes[dim].find(), zero=False)
    zero = _scaled(call, inputs, 1, ("weight", "bias", "running_mean", "running_var"))
    result = inputs.replaced(1, inputs.nodes[1].find(), zero=zero)
    return [result, *_statistics(call, inputs.nodes[1:2])]


@rule("native_layer_norm")
def layer_norm(call: Call) -> Sequence[Dims]:
    """Normalises over the last dims."""
    inputs = call.dims("input")
    count = len(call["normalized_shape"])
    # What is zero all along them becomes the shift.
    result = Dims(inputs.nodes, tuple(zero and call["bias"] is None for zero in inputs.zero))
    for back in range(1, count + 1):
        node = inputs.nodes[-back]
        zero = call["weight"] is not None
        for name in ("weight", "bias"):
            if call[name] is not None:
                call.unify(call.dims(name).nodes[-back], node)
                zero = zero and call.dims(name).zero[-back]
        call.mark_inexact(node, OVER)
        result = result.replaced(len(inputs.nodes) - back, node.find(), zero=zero)
    ones = [fresh(1) for _ in range(count)]
    return [result, *_statistics(call, [*inputs.nodes[:-count], *ones])]


@rule("native_group_norm")
def group_norm(call: Call) -> Sequence[Dims]:
    """Normalises over the channels of each group: whole groups may go, parts of one are inexact."""
    inputs = call.dims("input")
    zero = _scaled(call, inputs, 1, ("weight", "bias"))
    group, within = split(inputs.nodes[1], int(call["group"]))
    call.mark_inexact(within, OVER)
    result = inputs.replaced(1, inputs.nodes[1].find(), zero=zero)
    return [result, *_statistics(call, [inputs.nodes[0], group])]


@rule("_weight_norm_interface")
def weight_norm(call: Call) -> Sequence[Dims]:
    """g v / |v|, a norm for each position along one dim."""
    direction, scale = call.dims("v"), call.dims("g")
    rank = len(direction.nodes)
    dim = call.dim(of=rank)
    call.unify(direction.nodes[dim], scale.nodes[dim])
    call.freeze(direction.nodes[dim], "a removed unit would be divided by its norm, which is zero")
    for other, node in enumerate(direction.nodes):
        if other != dim and not direction.zero[other]:
            call.mark_inexact(node, OVER)
    nodes = tuple(node.find() for node in direction.nodes)
    result = Dims(nodes, tuple(direction.zero[k] and k != dim for k in range(rank)))
    return [result, *(Dims(scale.nodes, (False,) * rank) for _ in call.outputs[1:])]


@rule("renorm")
def renorm(call: Call) -> Dims:
    """Each slice along a dim is made shorter where its norm is above a limit."""
    inputs = call.dims("self")
    dim = call.dim(of=len(inputs.nodes))
    for other, node in enumerate(inputs.nodes):
        if other != dim and not inputs.zero[other]:
            call.mark_inexact(node, OVER)
    return inputs
