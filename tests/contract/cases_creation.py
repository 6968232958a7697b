import torch
from models import IMAGES, ROWS, SEQUENCES, case, conv, linear
from torch import nn


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def sized_by_a_shape(net, x):
    y = net.a(x)
    b, c = y.shape
    y = (
        y
        + torch.zeros(b, c)
        + torch.ones((b, c))
        + torch.full((b, c), 2.0)
        + torch.empty(b, c).fill_(0)
    )
    return net.b(
        y + y.new_zeros(b, c) + y.new_ones(c) + y.new_full((c,), 3) + y.new_empty(c).zero_()
    )


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4), "width": 8}, free={"a": 8})
def sized_by_an_attribute(net, x):
    return net.b(net.a(x) + torch.ones(net.width) + torch.full(size=(net.width,), fill_value=0.5))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "size 8 is a literal"})
def sized_by_a_literal(net, x):
    return net.b(net.a(x) + torch.ones(8))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "size 8 is a literal"})
def filled_and_sized_by_a_literal(net, x):
    return net.b(net.a(x) + torch.full((8,), 2.0))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "size 8 is a literal"})
def new_and_sized_by_a_literal(net, x):
    y = net.a(x)
    return net.b(y + y.new_full((y.shape[0], 8), 3))


@case(ROWS, lambda: {"a": linear(6, 8)}, kept={"a": "reduces over the units"})
def ones_lose_zeros(net, x):
    y = net.a(x)
    return (y + torch.ones(y.shape[1])).sum(1)


@case(ROWS, lambda: {"a": linear(6, 8)}, free={"a": 8})
def zeros_keep_zeros(net, x):
    y = net.a(x)
    return (y + torch.zeros(y.shape[1])).sum(1)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "random"})
def random_numbers(net, x):
    y = net.a(x)
    return net.b(y + torch.randn(y.shape) + torch.rand(y.shape[1]))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "numbered by arange"})
def numbered_units(net, x):
    y = net.a(x)
    return net.b(y * torch.arange(y.shape[1]))


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def numbered_tokens(net, x):
    n = x.shape[1]
    y = net.a(x) + torch.arange(n)[:, None] + torch.linspace(0, 1, n)[:, None]
    return net.b(torch.eye(n).double() @ y)


@case(ROWS, lambda: {"a": linear(6, 3), "b": linear(3, 4)}, kept={"a": "neither parameter"})
def a_constant_of_channels(net, x):
    return net.b(net.a(x) * torch.tensor([1.0, 2.0, 3.0]))


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "mean": nn.Buffer(torch.zeros(1, 3, 1, 1)), "b": conv(8, 4)},
    free={"a": 8},
)
def a_buffer_for_the_inputs(net, x):
    return net.b(net.a(x - net.mean))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "random"})
def drawn_in_place(net, x):
    y = net.a(x)
    z = torch.empty_like(y).exponential_() + torch.empty_like(y).cauchy_()
    z = z + torch.empty_like(y).log_normal_() + torch.empty_like(y).geometric_(0.5)
    return net.b(y + z + torch.empty_like(y).random_(3) + torch.poisson(y.abs()))
