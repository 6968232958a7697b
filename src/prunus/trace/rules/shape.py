"""Operators that only rearrange dims: views, permutations, expansion."""

from collections.abc import Sequence

import torch

from prunus.trace.axes import Mismatch, Node, factors, fresh, product, split
from prunus.trace.call import Call, Dims, fixed, rule

EXPANDED = "made by expansion"


@rule("view", "_unsafe_view", "_reshape_alias", "_reshape_copy", "view_copy")
def view(call: Call) -> Dims:
    """Re-cut the row-major sequence of factors into the new dims."""
    inputs, shape = call.dims("self"), tuple(call.outputs[0].shape)
    if tuple(node.size for node in inputs.nodes) == shape:
        return inputs
    if 0 in shape:
        return fixed(shape, "empty")
    rest = [
        (factor, zero)
        for node, zero in zip(inputs.nodes, inputs.zero, strict=True)
        for factor in factors(node)
    ]
    nodes, zeros = [], []
    for size in shape:
        taken, rest = _take(call, rest, size)
        nodes.append(product(factor for factor, _ in taken))
        zeros.append(bool(taken) and all(zero for _, zero in taken))
    return Dims(tuple(nodes), tuple(zeros))


_Factors = list[tuple[Node, bool]]


def _take(call: Call, rest: _Factors, size: int) -> tuple[_Factors, _Factors]:
    """Take factors off the front of `rest` until their product is `size`."""
    taken: _Factors = []
    done = 1
    while done < size:
        (factor, zero), *rest = rest
        factor = factor.find()
        if size % (done * factor.size):
            if size % done:
                raise Mismatch(f"cannot view the dims as one of size {size}")
            head, tail = _split(call, factor, size // done)
            factor, rest = head, [(part, zero) for part in factors(tail)] + rest
        taken.append((factor, zero))
        done *= factor.size
    return taken, rest


def _split(call: Call, factor: Node, outer: int) -> tuple[Node, Node]:
    """Split a factor in two. One whose parts do not allow that is fixed, and no other with it."""
    try:
        return split(factor, outer)
    except Mismatch as mismatch:
        if factor.size % outer:
            raise
        call.freeze(factor, str(mismatch))
        why = f"made of parts that do not divide, at {call.location}"
        return fresh(outer, why), fresh(factor.size // outer, why)


@rule("t")
def transpose_matrix(call: Call) -> Dims:
    """Swap the dims of a matrix."""
    inputs = call.dims("self")
    return inputs.picked(range(len(inputs.nodes))[::-1])


@rule("transpose", "transpose_copy")
def transpose(call: Call) -> Dims:
    """Swap two dims."""
    inputs = call.dims("self")
    order = list(range(len(inputs.nodes)))
    one, other = call.dim("dim0", of=len(order)), call.dim("dim1", of=len(order))
    order[one], order[other] = order[other], order[one]
    return inputs.picked(order)


@rule("permute", "permute_copy")
def permute(call: Call) -> Dims:
    """Reorder the dims."""
    inputs = call.dims("self")
    return inputs.picked([dim % len(inputs.nodes) for dim in call["dims"]])


@rule("unsqueeze", "unsqueeze_", "unsqueeze_copy")
def unsqueeze(call: Call) -> Dims:
    """Insert a dim of size 1."""
    inputs = call.dims("self")
    at = call.dim(of=len(inputs.nodes) + 1)
    nodes, zero = list(inputs.nodes), list(inputs.zero)
    nodes.insert(at, fresh(1))
    zero.insert(at, False)
    return Dims(tuple(nodes), tuple(zero))


@rule("squeeze", "squeeze_", "squeeze_copy")
def squeeze(call: Call) -> Dims:
    """Drop dims of size 1."""
    inputs = call.dims("self")
    rank = len(inputs.nodes)
    asked = call.dim_list(of=rank) if "dim" in call.arguments else range(rank)
    dropped = {dim for dim in asked if inputs.nodes[dim].size == 1}
    return inputs.picked([dim for dim in range(rank) if dim not in dropped])


@rule("expand", "expand_copy")
def expand(call: Call) -> Dims:
    """Repeat dims of size 1 without copying. All copies are alike: any of them may go."""
    inputs = call.dims("self")
    shape = call.outputs[0].shape
    return _grown(inputs, shape)


def _grown(inputs: Dims, shape: Sequence[int]) -> Dims:
    offset = len(shape) - len(inputs.nodes)
    nodes, zero = [], []
    for dim, size in enumerate(shape):
        kept = dim >= offset and inputs.nodes[dim - offset].size == size
        nodes.append(inputs.nodes[dim - offset] if kept else fresh(size))
        zero.append(kept and inputs.zero[dim - offset])
    return Dims(tuple(nodes), tuple(zero))


@rule("repeat")
def repeat(call: Call) -> Dims:
    """Tile: (times x dim), the dim varying fastest."""
    inputs, times = call.dims("self"), call["repeats"]
    offset = len(times) - len(inputs.nodes)
    nodes = (*(fresh(1) for _ in range(offset)), *inputs.nodes)
    zero = (*(False for _ in range(offset)), *inputs.zero)
    tiled = (
        product([fresh(count, EXPANDED), node]) if count > 1 else node
        for count, node in zip(times, nodes, strict=True)
    )
    return Dims(tuple(tiled), zero)


@rule("pixel_shuffle")
def pixel_shuffle(call: Call) -> Dims:
    """(C x r x r, H, W) becomes (C, H x r, W x r)."""
    inputs, factor = call.dims("self"), int(call["upscale_factor"])
    *outer, channels, height, width = inputs.nodes
    channel, inside = split(channels, channels.size // factor**2)
    down, right = split(inside, factor)
    call.freeze(inside, "the factor is fixed")
    nodes = (*outer, channel, product([height, down]), product([width, right]))
    return Dims(nodes, (*inputs.zero[:-2], False, False))


@rule("pixel_unshuffle")
def pixel_unshuffle(call: Call) -> Dims:
    """(C, H x r, W x r) becomes (C x r x r, H, W)."""
    inputs, factor = call.dims("self"), int(call["downscale_factor"])
    *outer, channel, height, width = inputs.nodes
    top, down = split(height, height.size // factor)
    left, right = split(width, width.size // factor)
    call.freeze(down, "the factor is fixed")
    call.freeze(right, "the factor is fixed")
    return Dims((*outer, product([channel, down, right]), top, left), inputs.zero)


@rule("channel_shuffle")
def channel_shuffle(call: Call) -> Dims:
    """(groups x n) becomes (n x groups)."""
    inputs = call.dims("self")
    group, within = split(inputs.nodes[1], int(call["groups"]))
    call.freeze(group, "the number of groups is fixed")
    return inputs.replaced(1, product([within, group]), zero=inputs.zero[1])


@rule("tril", "triu")
def triangle(call: Call) -> Dims:
    """Zeros on one side of the diagonal, whose place must stay."""
    inputs = call.dims("self")
    for node in inputs.nodes[-2:]:
        call.freeze(node, "cut along the diagonal")
    return inputs


@rule("unfold")
def unfold(call: Call) -> Dims:
    """Windows along a dim."""
    inputs = call.dims("self")
    dim = call.dim("dimension", of=len(inputs.nodes))
    call.freeze(inputs.nodes[dim], "cut into windows")
    shape = call.outputs[0].shape
    windows = inputs.replaced(dim, fresh(shape[dim], "number of windows"), zero=False)
    inside = fresh(shape[-1], "position in a window")
    return Dims((*windows.nodes, inside), (*windows.zero, False))


@rule("as_strided_")
def restride(call: Call) -> Dims:
    """Change the memory format, as PyTorch does by itself for channels last."""
    inputs, result = call.dims("self"), call.outputs[0]
    same = tuple(node.size for node in inputs.nodes) == tuple(result.shape)
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    if same and (
        result.is_contiguous()
        or (result.dim() in formats and result.is_contiguous(memory_format=formats[result.dim()]))
    ):
        return inputs
    raise Mismatch("lays the memory out anew")
