import torch
from models import IMAGES, LINES, ROWS, SQUARES, case, conv, linear, weight
from torch import nn

ALONG = "runs along"


@case(IMAGES, lambda: {"a": conv(3, 8), "b": conv(8, 4)}, free={"a": 8})
def transforms_of_space(net, x):
    y = net.a(x)
    y = torch.fft.irfft2(torch.fft.rfft2(y) * torch.fft.rfft2(y.relu()), s=y.shape[2:])
    y = y + torch.fft.fftn(y, dim=(2, 3)).abs() + torch.fft.ifft(y, dim=3, n=y.shape[3]).real
    return net.b(y), y.sum(1)


@case(SQUARES, lambda: {"w": weight(8, 6, 4, 2), "a": conv(3, 8), "b": conv(8, 4)}, free={"w": 8})
def global_filter(net, x):
    """A complex parameter, kept as pairs, times the transform: a global filter network."""
    y = torch.fft.rfft2(net.a(x), norm="ortho") * torch.view_as_complex(net.w.contiguous())
    return net.b(torch.fft.irfft2(y, norm="ortho"))


@case(LINES, lambda: {"a": nn.Conv1d(3, 8, 3), "b": nn.Conv1d(8, 4, 1)}, kept={"a": ALONG})
def transform_of_units(net, x):
    return net.b(torch.fft.fft(net.a(x), dim=1).abs())


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(6, 8), "c": linear(8, 4)}, free={"a": 8})
def complex_numbers(net, x):
    z = torch.complex(net.a(x), net.b(x))
    z = z * z.conj() + z.conj_physical() - z.conj().imag + torch.polar(net.a(x).abs(), net.b(x))
    z = z + torch.view_as_complex(torch.view_as_real(z).flip(-1))
    with torch.no_grad():  # these have no derivative
        aten = torch.ops.aten
        z = z + aten.view_as_complex_copy(aten.view_as_real_copy(z.resolve_conj()))
    return net.c(z.real), torch._neg_view(z.imag).sum(1)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(4, 4)}, free={"a": 4})
def units_as_pairs(net, x):
    y = net.a(x).unflatten(1, (-1, 2))
    return net.b(torch.view_as_complex(y).abs())
