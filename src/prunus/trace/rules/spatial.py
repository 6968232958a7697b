"""Pooling, resizing and padding: channels pass, positions in space change."""

from collections.abc import Sequence
from math import prod

from prunus.trace.axes import KERNEL, SPACE, Node, fresh, product, split, sum_of
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
    result = Dims((*inputs.nodes[:-rank], *space), zero)
    places = Dims(result.nodes, (False,) * len(zero))  # of the largest: not zero where values are
    return [result, *[places] * (len(call.outputs) - 1)]


@rule("max_unpool2d", "max_unpool3d")
def unpool(call: Call) -> Dims:
    """Each channel by itself: its largest values go back to the places that they came from."""
    inputs, places = call.dims("self"), call.dims("indices")
    rank = 2 if "2d" in call.name else 3
    call.run_along([*inputs.nodes[-rank:], *places.nodes[-rank:]])
    for one, other in zip(inputs.nodes[:-rank], places.nodes, strict=False):
        call.unify(one, other)
    outer = tuple(node.find() for node in inputs.nodes[:-rank])
    space = (fresh(size, SPACE) for size in call.outputs[0].shape[-rank:])
    return Dims((*outer, *space), (*inputs.zero[:-rank], *[False] * rank))


@rule("fractional_max_pool2d", "fractional_max_pool3d")
def fractional_pool(call: Call) -> list[Dims]:
    """Each channel by itself, in windows that random numbers of its own place."""
    inputs, samples = call.dims("self"), call.dims("random_samples")
    rank = 2 if "2d" in call.name else 3
    call.run_along(inputs.nodes[-rank:])
    for one, other in zip(inputs.nodes[-rank - 1 :: -1], samples.nodes[-2::-1], strict=False):
        call.unify(one, other)
    outer = tuple(node.find() for node in inputs.nodes[:-rank])
    nodes = (*outer, *(fresh(size, SPACE) for size in call.outputs[0].shape[-rank:]))
    values = Dims(nodes, (*inputs.zero[:-rank], *[False] * rank))
    return [values, Dims(nodes, (False,) * len(nodes))]


@rule("grid_sampler_2d", "grid_sampler_3d")
def sample(call: Call) -> Dims:
    """Each channel by itself, at places that are data."""
    inputs, grid = call.dims("input"), call.dims("grid")
    call.run_along(inputs.nodes[2:])
    call.freeze(grid.nodes[-1], "coordinates")
    call.unify(inputs.nodes[0], grid.nodes[0])
    nodes = (inputs.nodes[0].find(), inputs.nodes[1], *grid.nodes[1:-1])
    return Dims(nodes, (False, inputs.zero[1], *[False] * (len(nodes) - 2)))


@rule("im2col")
def im2col(call: Call) -> Dims:
    """(.., C, H, W) becomes (.., C x window, number of windows)."""
    inputs = call.dims("self")
    *batch, channels, _, _ = inputs.nodes
    call.run_along(inputs.nodes[-2:])
    window = fresh(prod(call["kernel_size"]), KERNEL)
    windows = fresh(call.outputs[0].shape[-1], SPACE)
    nodes = (*batch, product([channels, window]), windows)
    return Dims(nodes, (*inputs.zero[:-2], False))


@rule("col2im")
def col2im(call: Call) -> Dims:
    """(.., C x window, number of windows) becomes (.., C, H, W); windows that overlap add up."""
    inputs = call.dims("self")
    *batch, columns, _ = inputs.nodes
    call.run_along(inputs.nodes[-1:])
    channels, window = split(columns, columns.find().size // prod(call["kernel_size"]))
    call.freeze(window, KERNEL)
    space = (fresh(size, SPACE) for size in call.outputs[0].shape[-2:])
    return Dims((*batch, channels, *space), (*inputs.zero[:-1], False, False))


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
    padded = {rank - 1 - place // 2 for place, size in enumerate(padding) if size}
    if float(call["value"]) != 0:  # then a removed unit holds it beyond the border of another dim
        zero = (result.zero[dim] and padded <= {dim} for dim in range(rank))
        return Dims(result.nodes, tuple(zero))
    return result


def _between(before: int, node: Node, after: int) -> Node:
    return sum_of([fresh(before, "padding"), node, fresh(after, "padding")])
