"""Matrix products: the contracted dims are one axis."""

from prunus.trace.call import Call, Dims, rule


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
