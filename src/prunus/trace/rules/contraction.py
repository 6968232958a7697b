"""Matrix products: the contracted dims are one axis."""

from collections.abc import Sequence

from prunus.trace.axes import Mismatch, fresh
from prunus.trace.call import NOT_ZERO, Call, Dims, rule


def _matrix_product(call: Call, left: Dims, right: Dims) -> Dims:
    call.contract(left, -1, right, -2)
    nodes, zero = list(left.nodes[:-1]), list(left.zero[:-1])
    for dim in range(len(nodes) - 1):  # batch dims
        call.unify(left.nodes[dim], right.nodes[dim])
        zero[dim] = left.zero[dim] or right.zero[dim]
    return Dims((*nodes, right.nodes[-1]), (*zero, right.zero[-1]))


def _plus(call: Call, bias: Dims, result: Dims) -> Dims:
    """Add a bias that broadcasts from the right."""
    zero = list(result.zero)
    for back in range(1, len(result.nodes) + 1):
        node = result.nodes[-back]
        if back <= len(bias.nodes) and bias.nodes[-back].size == node.size:
            call.unify(bias.nodes[-back], node)
            zero[-back] = zero[-back] and bias.zero[-back]
        else:
            zero[-back] = False
    return Dims(result.nodes, tuple(zero))


@rule("mm", "bmm")
def matrix_product(call: Call) -> Dims:
    """(.., M, K) @ (.., K, N)."""
    return _matrix_product(call, call.dims("self"), call.dims("mat2"))


@rule("_grouped_mm")
def grouped_product(call: Call) -> Dims:
    """(M, K) @ (E, K, N), the rows dealt out among the E matrices; or a stack with a stack."""
    left, right = call.dims("self"), call.dims("mat2")
    if len(right.nodes) != 3:
        raise Mismatch("the matrices are cut out of one by the data")
    if len(left.nodes) == 2:
        call.unify(right.nodes[0], call.dims("offs").nodes[0])
        call.mark_inexact(right.nodes[0], "rows are dealt out by number")
        right = right.picked([1, 2])
    return _matrix_product(call, left, right)


@rule("addmm", "_addmm_activation")
def biased_product(call: Call) -> Dims:
    """Bias + (M, K) @ (K, N); the activation that may follow keeps zeros."""
    product = _matrix_product(call, call.dims("mat1"), call.dims("mat2"))
    return _plus(call, call.dims("self"), product)


@rule("baddbmm")
def biased_batch_product(call: Call) -> Dims:
    """Bias + (B, M, K) @ (B, K, N)."""
    product = _matrix_product(call, call.dims("batch1"), call.dims("batch2"))
    return _plus(call, call.dims("self"), product)


@rule("mv")
def matrix_vector(call: Call) -> Dims:
    """(M, K) @ (K,)."""
    matrix, vector = call.dims("self"), call.dims("vec")
    call.contract(matrix, 1, vector, 0)
    return matrix.picked([0])


@rule("addmv")
def biased_matrix_vector(call: Call) -> Dims:
    """Bias + (M, K) @ (K,)."""
    matrix, vector = call.dims("mat"), call.dims("vec")
    call.contract(matrix, 1, vector, 0)
    return _plus(call, call.dims("self"), matrix.picked([0]))


@rule("dot", "vdot")
def dot(call: Call) -> Dims:
    """(K,) @ (K,)."""
    other = call.dims("tensor" if call.name == "dot" else "other")
    call.contract(call.dims("self"), 0, other, 0)
    return Dims((), ())


@rule("addbmm")
def biased_sum_of_products(call: Call) -> Dims:
    """Bias + the sum over B of (B, M, K) @ (B, K, N)."""
    left, right = call.dims("batch1"), call.dims("batch2")
    call.contract(left, 0, right, 0)
    return _plus(call, call.dims("self"), _matrix_product(call, left, right).picked([1, 2]))


@rule("addr")
def biased_outer_product(call: Call) -> Dims:
    """Bias + (M,) x (N,)."""
    left, right = call.dims("vec1"), call.dims("vec2")
    nodes = (left.nodes[0], right.nodes[0])
    return _plus(call, call.dims("self"), Dims(nodes, (left.zero[0], right.zero[0])))


@rule("_trilinear")
def trilinear(call: Call) -> Dims:
    """A product of three tensors, brought to the same dims, summed over some: nn.Bilinear."""
    factors = [_with_ones(call, f"i{k}", call[f"expand{k}"]) for k in (1, 2, 3)]
    rank = len(factors[0].nodes)
    nodes, zero = [], []
    for dim in range(rank):
        whole = [factor for factor in factors if factor.nodes[dim].size > 1]
        for other in whole[1:]:
            call.unify(whole[0].nodes[dim], other.nodes[dim])
        node = (whole or factors)[0].nodes[dim].find()
        zeros = any(factor.zero[dim] for factor in whole)
        if dim not in call["sumdim"]:
            nodes.append(node)
            zero.append(zeros)
        elif not zeros and node.size > 1:
            call.mark_inexact(node, NOT_ZERO)
    return Dims(tuple(nodes), tuple(zero))


def _with_ones(call: Call, name: str, places: Sequence[int]) -> Dims:
    """Return the dims of a tensor with dims of size 1 put in."""
    dims = call.dims(name)
    nodes, zero = list(dims.nodes), list(dims.zero)
    for place in sorted(places):
        nodes.insert(place, fresh(1))
        zero.insert(place, False)
    return Dims(tuple(nodes), tuple(zero))


@rule("_cdist_forward", "_euclidean_dist")
def distances(call: Call) -> Dims:
    """(.., P, K) and (.., R, K) become the distances (.., P, R)."""
    left, right = call.dims("x1"), call.dims("x2")
    if len(left.nodes) != len(right.nodes):
        raise Mismatch("between batches of another number of dims")
    if not (left.zero[-1] and right.zero[-1]):
        call.mark_inexact(left.nodes[-1], NOT_ZERO)
    call.unify(left.nodes[-1], right.nodes[-1])
    nodes, zero = [], []
    for dim, (one, other) in enumerate(zip(left.nodes[:-2], right.nodes, strict=False)):
        if one.size == other.size:
            call.unify(one, other)
        nodes.append((one if one.size > 1 else other).find())
        zero.append(one.size == other.size and left.zero[dim] and right.zero[dim])
    return Dims((*nodes, left.nodes[-2], right.nodes[-2]), (*zero, False, False))
