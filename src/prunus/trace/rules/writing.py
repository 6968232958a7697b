"""Operators that write by index into a copy: the indexed dims are fixed, the others meet."""

from torch import Tensor

from prunus.trace.axes import Mismatch
from prunus.trace.call import Call, Dims, rule
from prunus.trace.rules.lookup import around, indexed, is_mask

WRITTEN = "written by index"


@rule("index_add", "index_copy", "index_reduce")
def index_write(call: Call) -> Dims:
    """Whole slices along one dim; the other dims meet those of what is written."""
    target, source = call.dims("self"), call.dims("source")
    if len(target.nodes) != len(source.nodes):
        raise Mismatch("writes a tensor of another number of dims")
    dim = call.dim(of=len(target.nodes))
    for node in (target.nodes[dim], source.nodes[dim], *call.dims("index").nodes):
        call.freeze(node, WRITTEN)
    return _met(call, target, source, dim)


@rule("select_scatter", "slice_scatter")
def scatter_of_slices(call: Call) -> Dims:
    """One position of a dim, or a range of them, written anew."""
    target, source = call.dims("self"), call.dims("src")
    dim = call.dim(of=len(target.nodes))
    call.freeze(target.nodes[dim], WRITTEN)
    if call.name == "select_scatter":
        nodes, zero = list(source.nodes), list(source.zero)
        nodes.insert(dim, target.nodes[dim])
        zero.insert(dim, False)
        source = Dims(tuple(nodes), tuple(zero))
    call.freeze(source.nodes[dim], WRITTEN)
    return _met(call, target, source, dim)


def _met(call: Call, target: Dims, source: Dims, dim: int) -> Dims:
    """Unify all dims but `dim`; a removed unit stays zero where both are."""
    zero = []
    for other, node in enumerate(target.nodes):
        if other != dim:
            call.unify(node, source.nodes[other])
        zero.append(other != dim and target.zero[other] and source.zero[other])
    return Dims(tuple(node.find() for node in target.nodes), tuple(zero))


@rule("index_fill")
def index_fill(call: Call) -> Dims:
    """Whole slices along one dim, all to one value."""
    target, value = call.dims("self"), call["value"]
    dim = call.dim(of=len(target.nodes))
    for node in (target.nodes[dim], *call.dims("index").nodes):
        call.freeze(node, WRITTEN)
    keeps = not isinstance(value, Tensor) and float(value) == 0
    zero = (keeps and other != dim and flag for other, flag in enumerate(target.zero))
    return Dims(target.nodes, tuple(zero))


@rule("scatter", "scatter_add", "scatter_reduce")
def scatter(call: Call) -> Dims:
    """Single elements along one dim; their places are data."""
    target, places = call.dims("self"), call.dims("index")
    source = call.dims("src") if isinstance(call.get("src"), Tensor) else None
    value = call.get("value")
    rank = len(target.nodes)
    dim = call.dim(of=rank)
    zero = []
    for other in range(rank):
        tensors = [target, places, *([source] if source else [])]
        nodes = [dims.nodes[other] for dims in tensors]
        whole = len({node.size for node in nodes}) == 1
        for node in nodes:
            if other == dim or not whole:
                call.freeze(node, WRITTEN)
            else:
                call.unify(nodes[0], node)
        keeps = source.zero[other] if source else float(value or 0) == 0
        zero.append(other != dim and whole and target.zero[other] and keeps)
    return Dims(tuple(node.find() for node in target.nodes), tuple(zero))


@rule("index_put")
def index_put(call: Call) -> Dims:
    """Elements or slices by advanced indexing; the values broadcast to what is written over."""
    target, values = call.dims("self"), call.dims("values")
    indices = [tensor for tensor in call["indices"] if isinstance(tensor, Tensor)]
    for node in (node for tensor in indices for node in call.dims_of(tensor).nodes):
        call.freeze(node, WRITTEN)
    taken = indexed(call["indices"])
    for picked in taken:
        call.freeze(target.nodes[picked], WRITTEN)
    zero = [False] * len(target.nodes)
    new = max(1 if is_mask(tensor) else tensor.dim() for tensor in indices)
    whole = [dim for dim in range(len(zero)) if dim not in taken]
    over: list[int | None] = around(taken, whole, [None] * new)
    for dim, node, kept in zip(over[::-1], values.nodes[::-1], values.zero[::-1], strict=False):
        if dim is None:
            call.freeze(node, WRITTEN)
        elif node.size == target.nodes[dim].size:
            call.unify(target.nodes[dim], node)
            zero[dim] = target.zero[dim] and kept
    return Dims(tuple(node.find() for node in target.nodes), tuple(zero))


@rule("masked_scatter")
def masked_scatter(call: Call) -> Dims:
    """One value after another where the mask holds.

    Where the mask is the same along the last dims, whole slices are written: these dims meet.
    """
    target, mask, source = call.dims("self"), call["mask"], call.dims("source")
    shared = 0
    for node, other in zip(target.nodes[::-1], source.nodes[::-1], strict=False):
        alike = mask.dim() <= shared or mask.shape[-1 - shared] == 1 or _repeats(mask, -1 - shared)
        if not alike or node.size != other.size:
            break
        shared += 1
    whole, rest = len(target.nodes) - shared, len(source.nodes) - shared
    for node in (*target.nodes[:whole], *source.nodes[:rest]):
        call.freeze(node, WRITTEN)
    zero = [False] * whole
    places = call.dims("mask").nodes
    for back in range(shared, 0, -1):
        call.unify(target.nodes[-back], source.nodes[-back])
        if back <= len(places) and places[-back].size > 1:
            call.unify(target.nodes[-back], places[-back])
        zero.append(target.zero[-back] and source.zero[-back])
    for node in places[: len(places) - shared]:
        call.freeze(node, WRITTEN)
    return Dims(tuple(node.find() for node in target.nodes), tuple(zero))


def _repeats(mask: Tensor, dim: int) -> bool:
    """Whether `mask` was expanded along a dim: all along it lies in the same place."""
    return mask.stride(dim) == 0
