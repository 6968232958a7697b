"""Operators that join tensors or take them apart: sums of axes, and products with equal parts."""

from prunus.trace.axes import Mismatch, Node, cut, equal_parts, fresh, split, sum_of, terms
from prunus.trace.call import Call, Dims, rule


@rule("cat")
def cat(call: Call) -> Dims:
    """One after another along a dim; the other dims unify. A (0,) joins tensors of any rank."""
    tensors = call["tensors"]
    parts = [call.dims_of(tensor) for tensor in tensors if tensor.shape != (0,)]
    parts = parts or [call.dims_of(tensors[0])]
    rank = len(parts[0].nodes)
    joined = call.dim(of=rank)
    nodes, zero = [], []
    for dim in range(rank):
        along = [part.nodes[dim] for part in parts]
        if dim == joined:
            nodes.append(sum_of(along))
        else:
            for other in along[1:]:
                call.unify(along[0], other)
            nodes.append(along[0].find())
        zero.append(all(part.zero[dim] for part in parts))
    return Dims(tuple(nodes), tuple(zero))


@rule("stack")
def stack(call: Call) -> Dims:
    """A new dim; all others unify."""
    parts = [call.dims_of(tensor) for tensor in call["tensors"]]
    rank = len(parts[0].nodes)
    for part in parts[1:]:
        for one, other in zip(parts[0].nodes, part.nodes, strict=True):
            call.unify(one, other)
    nodes = [node.find() for node in parts[0].nodes]
    zero = [all(part.zero[dim] for part in parts) for dim in range(rank)]
    at = call.dim(of=rank + 1)
    nodes.insert(at, fresh(len(parts), "number of stacked tensors"))
    zero.insert(at, False)
    return Dims(tuple(nodes), tuple(zero))


@rule("split", "split_with_sizes", "unsafe_split", "split_copy")
def split_tensor(call: Call) -> list[Dims]:
    """Take a dim apart; equal pieces share one extent."""
    inputs = call.dims("self")
    dim = call.dim(of=len(inputs.nodes))
    node = inputs.nodes[dim]
    lengths = [tensor.shape[dim] for tensor in call.outputs]
    if "sizes" not in call.name and lengths[-1] != lengths[0]:
        call.freeze(node, "into parts of unequal size, which change with the whole")
    pieces, start = [], 0
    for length in lengths:
        pieces.append(part(node, start, length, equal="sizes" not in call.name))
        start += length
    return [inputs.replaced(dim, piece, zero=inputs.zero[dim]) for piece in pieces]


def part(node: Node, start: int, length: int, *, equal: bool = True) -> Node:
    """Return the extent of positions start to start + length of `node`.

    Args:
        node: The whole.
        start: First position.
        length: Number of positions.
        equal: Whether a part that is one of several equal ones must stay so after a cut, as
            where the user's code computes its size from the whole.
    """
    whole = node.find().size
    if length == whole:
        return node
    if length == 0:
        return fresh(0)
    if equal and whole % length == 0 and start % length == 0 and not _borders(node, start, length):
        return equal_parts(node, whole // length)[0]
    rest = cut(node, start)[1] if start else node
    return cut(rest, length)[0] if rest.find().size > length else rest


def _borders(node: Node, start: int, length: int) -> bool:
    """Whether `node` already is a sum whose terms meet at both ends of the part."""
    ends, at = {0}, 0
    for term in terms(node):
        at += term.size
        ends.add(at)
    return {start, start + length} <= ends


@rule("glu")
def gated_linear_unit(call: Call) -> Dims:
    """The first half times the sigmoid of the second."""
    inputs = call.dims("self")
    dim = call.dim(of=len(inputs.nodes))
    half, _ = equal_parts(inputs.nodes[dim], 2)
    return inputs.replaced(dim, half, zero=inputs.zero[dim])


@rule("slice", "slice_copy")
def slice_tensor(call: Call) -> Dims:
    """A range of positions; a stride of s takes every s-th, as the outer part of (n/s x s)."""
    inputs = call.dims("self")
    rank = len(inputs.nodes)
    dim = call.dim(of=rank)
    node, length = inputs.nodes[dim], call.outputs[0].shape[dim]
    whole, step = node.find().size, int(call["step"])
    start = min(max(_from_end(call["start"] or 0, whole), 0), whole)
    if step == 1:
        piece = part(node, start, length)
    elif whole % step == 0 and length == whole // step:
        piece = strided(call, node, step)
    else:
        raise Mismatch(f"takes every {step}th of {whole} positions")
    return inputs.replaced(dim, piece, zero=inputs.zero[dim])


def strided(call: Call, node: Node, step: int) -> Node:
    """Return the outer extent of (n/step x step); the inner one is fixed by the stride."""
    outer, inner = split(node, node.find().size // step)
    call.freeze(inner, f"the stride {step} is fixed")
    return outer


def _from_end(place: int, whole: int) -> int:
    return place + whole if place < 0 else place


@rule("select", "select_copy")
def select(call: Call) -> Dims:
    """One position of a dim, which must stay where it is."""
    inputs = call.dims("self")
    rank = len(inputs.nodes)
    dim = call.dim(of=rank)
    call.freeze(inputs.nodes[dim], "takes one position by its number")
    return inputs.picked([place for place in range(rank) if place != dim])


@rule("unbind", "unbind_copy")
def unbind(call: Call) -> list[Dims]:
    """Every position of a dim by itself."""
    inputs = call.dims("self")
    rank = len(inputs.nodes)
    dim = call.dim(of=rank)
    call.freeze(inputs.nodes[dim], "unpacks every position")
    return [inputs.picked([p for p in range(rank) if p != dim])] * len(call.outputs)
