import torch
from models import IMAGES, LINES, ROWS, SQUARES, case, conv, linear
from torch import nn

WHOLE = "as a whole matrix"
DIAGONAL = "along the diagonal"


@case(SQUARES, lambda: {"a": conv(3, 8), "b": conv(8, 4)}, free={"a": 8})
def a_matrix_for_each_channel(net, x):
    y = net.a(x)
    square = y @ y.mT + torch.eye(y.shape[-1]).double()
    y = (
        y
        + torch.linalg.inv(square)
        + torch.linalg.matrix_exp(y.contiguous() / 9)
        + torch.linalg.pinv(square.contiguous())
    )
    y = (
        y
        + torch.linalg.solve(square, y)
        + torch.linalg.cholesky(square)
        + torch.linalg.qr(y)[1].abs()
    )
    y = y + torch.linalg.solve_triangular(square.triu(), y, upper=True)
    y = (
        y
        + torch.linalg.det(y / 9)[..., None, None]
        + torch.linalg.slogdet(square)[1][..., None, None]
    )
    y = y + torch.linalg.svdvals(y)[..., None] + torch.linalg.eigvalsh(square)[..., None]
    return net.b(y)


@case(SQUARES, lambda: {"a": conv(3, 8), "b": conv(8, 4)}, free={"a": 8})
def factors_for_each_channel(net, x):
    y = net.a(x)
    square = y @ y.mT + 2 * torch.eye(y.shape[-1]).double()
    lower = torch.linalg.cholesky(square)
    with torch.no_grad():
        y = y + torch.linalg.lu(square)[1] + torch.linalg.lu_factor(square)[0]
        y = y + torch.linalg.eigvals(square).abs()[..., None] + torch.cholesky_inverse(lower)
        y = y + torch.linalg.householder_product(y / 9, y[..., 0] / 9)
    return net.b(y + torch.cholesky_solve(y, lower))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": WHOLE})
def inverse_over_the_units(net, x):
    y = net.a(x)
    return net.b(y @ torch.linalg.inv(y.T @ y + torch.ones(y.shape[1], y.shape[1]).double().tril()))


@case(LINES, lambda: {"a": nn.Conv1d(3, 8, 3), "b": nn.Conv1d(8, 4, 1)}, free={"a": 8})
def diagonals_in_time(net, x):
    y = net.a(x)
    square = torch.diag_embed(y) + y[..., None, :]
    other = torch.ops.aten.diagonal_copy(torch.diag_embed(y, dim1=1, dim2=3), 0, 1, 3)
    return net.b(square.diagonal(dim1=2, dim2=3)), net.b(other), other.sum(1)


@case(IMAGES, lambda: {"a": conv(3, 8), "b": nn.Conv1d(6, 4, 1)}, kept={"a": DIAGONAL})
def diagonal_over_the_units(net, x):
    return net.b(net.a(x)[..., :6].diagonal(dim1=1, dim2=2).mT[:, :6])


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": DIAGONAL})
def diagonal_matrix_of_the_units(net, x):
    return net.b(torch.diag_embed(net.a(x)))
