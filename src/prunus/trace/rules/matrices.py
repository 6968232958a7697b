"""Operators on matrices as wholes: inverses, decompositions, diagonals.

They stand in the last two dims, which are fixed; the dims before them pass.
"""

from collections.abc import Sequence

from torch import Tensor

from prunus.trace.axes import Mismatch, Node, fresh
from prunus.trace.call import Call, Dims, fixed, rule

WHOLE = "is taken as a whole matrix"


@rule(
    "linalg_inv_ex", "_linalg_det", "_linalg_slogdet", "linalg_cholesky_ex", "linalg_qr",
    "_linalg_svd", "_linalg_eigh", "linalg_eig", "linalg_matrix_exp", "linalg_pinv",
    "_linalg_solve_ex", "linalg_solve_triangular", "linalg_lu_factor_ex", "linalg_lu",
    "cholesky_solve", "linalg_householder_product", "cholesky_inverse",
)  # fmt: skip
def whole_matrices(call: Call) -> Sequence[Dims]:
    """Every matrix is fixed; batches meet."""
    matrices = [call.dims_of(each) for each in call.arguments.values() if isinstance(each, Tensor)]
    batch = matrices[0].nodes[:-2]
    for matrix in matrices:
        for node in matrix.nodes[len(batch) :]:
            call.freeze(node, WHOLE)
        for one, other in zip(batch, matrix.nodes, strict=False):
            if one.size != other.size:
                raise Mismatch("batches of matrices that broadcast")
            call.unify(one, other)
    return [_of_batch(tensor, batch) for tensor in call.outputs]


def _of_batch(tensor: Tensor, batch: Sequence[Node]) -> Dims:
    if not tensor.numel():  # was not asked for
        return fixed(tensor.shape, WHOLE)
    rest = fixed(tensor.shape[len(batch) :], WHOLE)
    nodes = (*(node.find() for node in batch), *rest.nodes)
    return Dims(nodes, (False,) * len(nodes))


@rule("diagonal", "diagonal_copy")
def diagonal(call: Call) -> Dims:
    """Two dims become one, the last."""
    inputs = call.dims("self")
    rank = len(inputs.nodes)
    pair = {call.dim("dim1", of=rank), call.dim("dim2", of=rank)}
    for dim in pair:
        call.freeze(inputs.nodes[dim], DIAGONAL)
    rest = inputs.picked([dim for dim in range(rank) if dim not in pair])
    length = fresh(call.outputs[0].shape[-1], DIAGONAL)
    return Dims((*rest.nodes, length), (*rest.zero, False))


DIAGONAL = "cut along the diagonal"


@rule("diag_embed")
def diagonal_matrix(call: Call) -> Dims:
    """The last dim becomes the diagonal of two new ones."""
    inputs = call.dims("self")
    rank = len(inputs.nodes) + 1
    call.freeze(inputs.nodes[-1], DIAGONAL)
    nodes, zero = list(inputs.nodes[:-1]), list(inputs.zero[:-1])
    for dim in sorted((call.dim("dim1", of=rank), call.dim("dim2", of=rank))):
        nodes.insert(dim, fresh(call.outputs[0].shape[dim], DIAGONAL))
        zero.insert(dim, False)
    return Dims(tuple(nodes), tuple(zero))
