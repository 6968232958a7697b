"""Operators that pick by index: embedding, index, gather."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from prunus.trace.axes import fresh
from prunus.trace.call import Call, Dims, fixed, rule

PICKED = "picked by index"
T = TypeVar("T")


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
    taken = indexed(indices)
    for dim in taken:
        call.freeze(inputs.nodes[dim], PICKED)
    for values in (values for values in indices if isinstance(values, Tensor)):
        for node in call.dims_of(values).nodes:
            call.freeze(node, PICKED)
    whole = [dim for dim in range(len(inputs.nodes)) if dim not in taken]
    shape = call.outputs[0].shape
    new = len(shape) - len(whole)
    kept = inputs.picked(whole)
    at = around(taken, [-1] * len(whole), [0]).index(0)
    picked = fixed(shape[at : at + new], PICKED)
    nodes = around(taken, kept.nodes, picked.nodes)
    return Dims(tuple(nodes), tuple(around(taken, kept.zero, picked.zero)))


def around(taken: Sequence[int], whole: Sequence[T], picked: Sequence[T]) -> list[T]:
    """Put what stands for the indexed dims where PyTorch does: first, unless they are neighbours.

    Args:
        taken: The indexed dims.
        whole: What stands for the other dims.
        picked: What stands for the indexed ones.
    """
    neighbours = list(taken) == list(range(taken[0], taken[-1] + 1))
    at = taken[0] if neighbours else 0
    return [*whole[:at], *picked, *whole[at:]]


def indexed(indices: Sequence[Tensor | None]) -> list[int]:
    """Return the dims that are picked from; a mask takes up as many as it has itself."""
    dims: list[int] = []
    at = 0
    for values in indices:
        count = values.dim() if values is not None and is_mask(values) else 1
        if values is not None:
            dims += range(at, at + count)
        at += count
    return dims


def is_mask(indices: Tensor) -> bool:
    """Whether a tensor of indices says yes or no for each place."""
    return indices.dtype in (torch.bool, torch.uint8)


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


@rule("flip", "roll")
def moved(call: Call) -> Dims:
    """Positions change places along some dims, which must keep their size."""
    inputs = call.dims("self")
    for dim in call.dim_list("dims", of=len(inputs.nodes)):
        call.freeze(inputs.nodes[dim], "positions change places")
    return inputs


@rule("rot90")
def turned(call: Call) -> Dims:
    """Turn in the plane of two dims, which change places where the turn is a quarter."""
    inputs = call.dims("self")
    order = list(range(len(inputs.nodes)))
    one, other = call.dim_list("dims", of=len(order))
    for dim in (one, other):
        call.freeze(inputs.nodes[dim], "positions change places")
    if int(call["k"]) % 2:
        order[one], order[other] = order[other], order[one]
    return inputs.picked(order)


@rule("_embedding_bag", "_embedding_bag_forward_only")
def embedding_bag(call: Call) -> Sequence[Dims]:
    """Rows of a table, reduced bag by bag; which rows and how many is data."""
    table = call.dims("weight")
    for node in (table.nodes[0], *call.dims("indices").nodes, *call.dims("offsets").nodes):
        call.freeze(node, "rows are picked by the data")
    weights = call["per_sample_weights"]
    for node in call.dims_of(weights).nodes if weights is not None else ():
        call.freeze(node, "rows are picked by the data")
    bags, *_ = call.outputs[0].shape
    result = Dims((fresh(bags, "number of bags"), table.nodes[1]), (False, table.zero[1]))
    places = Dims(result.nodes, (False, False))
    return [
        result,
        *(
            places if tensor.shape == call.outputs[0].shape else fixed(tensor.shape, "of the bags")
            for tensor in call.outputs[1:]
        ),
    ]


@rule("bucketize", "searchsorted", "isin")
def ranked(call: Call) -> Dims:
    """Where each element lies among others, or whether it does; the others are fixed."""
    names = {"bucketize": "self", "searchsorted": "self", "isin": "elements"}
    inputs = call.dims(names[call.name])
    others = {"bucketize": "boundaries", "searchsorted": "sorted_sequence", "isin": "test_elements"}
    among = call.dims(others[call.name])
    for node in among.nodes:
        call.freeze(node, "elements are looked for in it")
    if call.name == "searchsorted" and len(among.nodes) > 1:
        for node in inputs.nodes[:-1]:
            call.freeze(node, "each row has its own order")
    return Dims(inputs.nodes, (False,) * len(inputs.nodes))


@rule("nonzero", "unique_dim", "_unique2")
def by_value(call: Call) -> Sequence[Dims]:
    """How many there are is data."""
    inputs = call.dims("self")
    for node in inputs.nodes:
        call.freeze(node, "depends on the values")
    return [fixed(tensor.shape, "depends on the values") for tensor in call.outputs]
