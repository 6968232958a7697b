"""Pooling, resizing and padding: channels pass, positions in space change."""

from collections.abc import Sequence

from prunus.trace.axes import SPACE, Node, fresh, sum_of
from prunus.trace.call import Call, Dims, rule


@rule(
    "max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool2d", "avg_pool3d",
    "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d",
    "upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d",
    "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d",
    "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa",
    "reflection_pad1d", "reflection_pad2d", "reflection_pad3d",
    "replication_pad1d", "replication_pad2d", "replication_pad3d",
)  # fmt: skip
def resample(call: Call) -> Sequence[Dims]:
    """Each channel by itself: what was zero stays zero."""
    inputs = call.dims("self" if "self" in call.arguments else "input")
    rank = next(int(digit) for digit in "123" if f"{digit}d" in call.name)
    call.run_along(inputs.nodes[-rank:])
    space = tuple(fresh(size, SPACE) for size in call.outputs[0].shape[-rank:])
    zero = (*inputs.zero[:-rank], *[False] * rank)
    return [Dims((*inputs.nodes[:-rank], *space), zero)] * len(call.outputs)


@rule("constant_pad_nd")
def pad(call: Call) -> Dims:
    """A constant before and after: a padded dim becomes a sum."""
    inputs = call.dims("self")
    rank, padding = len(inputs.nodes), call["pad"]
    result = inputs
    for back in range(len(padding) // 2):
        before, after = padding[2 * back : 2 * back + 2]
        dim = rank - 1 - back
        if before == after == 0:
            continue
        if before < 0 or after < 0:
            call.freeze(inputs.nodes[dim], "cropped by padding with a negative size")
            node = fresh(call.outputs[0].shape[dim], SPACE)
        else:
            node = _between(before, inputs.nodes[dim], after)
        result = result.replaced(dim, node, zero=inputs.zero[dim])
    return result


def _between(before: int, node: Node, after: int) -> Node:
    return sum_of([fresh(before, "padding"), node, fresh(after, "padding")])
