"""Operators that pick by index: embedding, index, gather."""

from collections.abc import Sequence

import torch
from torch import Tensor

from prunus.trace.axes import Mismatch, fresh
from prunus.trace.call import Call, Dims, fixed, rule

PICKED = "picked by index"
WRITTEN = "written by index"


@rule("embedding")
def embedding(call: Call) -> Dims:
    """Rows of a table; which rows is data."""
    table, indices = call.dims("weight"), call.dims("indices")
    call.freeze(table.nodes[0], "rows are picked by the data")
    zero = (*(False,) * len(indices.nodes), table.zero[1])
    return Dims((*indices.nodes, table.nodes[1]), zero)


@rule("index", "_unsafe_index")
def index(call: Call) -> Dims:
    """Advanced indexing: indexed dims are fixed, the others stay."""
    inputs, indices = call.dims("self"), call["indices"]
    indexed = _indexed(indices)
    for dim in indexed:
        call.freeze(inputs.nodes[dim], PICKED)
    for values in (values for values in indices if isinstance(values, Tensor)):
        for node in call.dims_of(values).nodes:
            call.freeze(node, PICKED)
    whole = [dim for dim in range(len(inputs.nodes)) if dim not in indexed]
    shape = call.outputs[0].shape
    new = len(shape) - len(whole)
    adjacent = indexed == list(range(indexed[0], indexed[-1] + 1))
    at = indexed[0] if adjacent else 0
    kept = inputs.picked(whole)
    picked = fixed(shape[at : at + new], PICKED)
    nodes = (*kept.nodes[:at], *picked.nodes, *kept.nodes[at:])
    return Dims(nodes, (*kept.zero[:at], *picked.zero, *kept.zero[at:]))


def _indexed(indices: Sequence[Tensor | None]) -> list[int]:
    """Return the dims that are picked from; a mask takes up as many as it has itself."""
    dims: list[int] = []
    at = 0
    for values in indices:
        mask = isinstance(values, Tensor) and values.dtype in (torch.bool, torch.uint8)
        taken = values.dim() if mask and values is not None else 1
        if values is not None:
            dims += range(at, at + taken)
        at += taken
    return dims


@rule("index_select")
def index_select(call: Call) -> Dims:
    """Positions of one dim."""
    inputs = call.dims("self")
    dim = call.dim(of=len(inputs.nodes))
    call.freeze(inputs.nodes[dim], PICKED)
    return inputs.replaced(dim, fresh(call.outputs[0].shape[dim], PICKED), zero=False)


@rule("gather")
def gather(call: Call) -> Dims:
    """Positions of one dim, chosen for each element; the other dims meet those of the index."""
    inputs, places = call.dims("self"), call.dims("index")
    rank = len(inputs.nodes)
    dim = call.dim(of=rank)
    call.freeze(inputs.nodes[dim], PICKED)
    for other in (other for other in range(rank) if other != dim):
        if inputs.nodes[other].size == places.nodes[other].size:
            call.unify(inputs.nodes[other], places.nodes[other])
        else:
            call.freeze(inputs.nodes[other], "only the first are picked from")
    zero = tuple(inputs.zero[k] and k != dim for k in range(rank))
    return Dims(places.nodes, zero)


@rule("index_add", "index_copy")
def index_write(call: Call) -> Dims:
    """Write to positions of one dim; the other dims meet those of what is written."""
    target, source = call.dims("self"), call.dims("source")
    if len(target.nodes) != len(source.nodes):
        raise Mismatch("writes a tensor of another number of dims")
    dim = call.dim(of=len(target.nodes))
    for node in (target.nodes[dim], source.nodes[dim], *call.dims("index").nodes):
        call.freeze(node, WRITTEN)
    for other in (other for other in range(len(target.nodes)) if other != dim):
        call.unify(target.nodes[other], source.nodes[other])
    zero = (one and other for one, other in zip(target.zero, source.zero, strict=True))
    return Dims(tuple(node.find() for node in target.nodes), tuple(zero))


@rule("flip", "roll")
def moved(call: Call) -> Dims:
    """Positions change places along some dims, which must keep their size."""
    inputs = call.dims("self")
    for dim in call.dim_list("dims", of=len(inputs.nodes)):
        call.freeze(inputs.nodes[dim], "positions change places")
    return inputs


@rule("nonzero", "unique_dim", "_unique2")
def by_value(call: Call) -> Sequence[Dims]:
    """How many there are is data."""
    inputs = call.dims("self")
    for node in inputs.nodes:
        call.freeze(node, "depends on the values")
    return [fixed(tensor.shape, "depends on the values") for tensor in call.outputs]
