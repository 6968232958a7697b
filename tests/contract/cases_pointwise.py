import torch
from models import IMAGES, ROWS, SEQUENCES, case, conv, linear, weight
from torch import nn
from torch.nn import functional as F


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "b": conv(8, 8), "c": conv(3, 8), "d": conv(8, 4)},
    free={"a": 8},
)
def residual(net, x):
    y = net.a(x)
    return net.d(F.relu(y + net.b(y.relu()) - 0.5 * net.c(x)))


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "down": conv(8, 2, 1), "up": conv(2, 8, 1), "b": conv(8, 4)},
    free={"a": 8, "down": 2},
)
def squeeze_and_excite(net, x):
    y = net.a(x)
    gate = net.up(net.down(y.mean((2, 3), keepdim=True)).relu()).sigmoid()
    return net.b(y * gate)


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "map": conv(8, 1, 1), "b": conv(8, 4)},
    free={"a": 8},
)
def one_map_for_all_channels(net, x):
    y = net.a(x)
    return net.b(y * net.map(y).sigmoid() + net.map(y))


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": linear(6, 8)},
    free={"a": 8},
)
def zeros_that_stay(net, x):
    a, b = net.a(x), net.b(x)
    kept = F.gelu(a) + F.silu(b) * b.sigmoid() + torch.tanh(a).abs().sqrt() + a.clamp(-1, 2)
    return (F.leaky_relu(kept) + F.elu(a) + F.hardswish(b) - b.square() + a / b.exp()).sum(1)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept={"a": "reduces over the units"})
def sigmoid_loses_zeros(net, x):
    return net.a(x).sigmoid().sum(1)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept={"a": "reduces over the units"})
def a_constant_loses_zeros(net, x):
    return (net.a(x).relu() + 1).sum(1)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept={"a": "reduces over the units"})
def clamp_from_below_loses_zeros(net, x):
    return net.a(x).clamp(min=0.1).sum(1)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept={"a": "reduces over the units"})
def exponential_loses_zeros(net, x):
    return net.a(x).exp().sum(1)


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "floor": nn.Buffer(torch.zeros(8))},
    kept={"a": "reduces over the units"},
)
def a_buffer_loses_zeros(net, x):
    return (net.a(x) + net.floor).sum(1)


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "mask": nn.Buffer(torch.zeros(8)), "b": linear(8, 4)},
    free={"a": 8},
)
def a_buffer_of_channels(net, x):
    y = net.a(x) * net.mask
    return net.b(y), y.sum(1)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def where_and_masked_fill(net, x):
    y = net.a(x)
    y = torch.where(y > 0, y, 0.1 * y)
    return net.b(y.masked_fill(y < -0.5, 0.0)), y.masked_fill(y > 0.3, 0.0).sum(1)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept={"a": "reduces over the units"})
def masked_fill_loses_zeros(net, x):
    y = net.a(x)
    return y.masked_fill(y < 0.1, 2.0).sum(1)


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "gate": linear(6, 1)},
    kept={"a": "reduces over the units"},
)
def where_loses_zeros(net, x):
    """Whether the zeros stay depends on a condition that has none."""
    return torch.where(net.gate(x) > 0, net.a(x), 1.0).sum(1)


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": linear(6, 8)},
    kept={"a": "reduces over the units"},
)
def comparison_loses_zeros(net, x):
    """Zero is less than some numbers and not than others."""
    return (net.a(x) > net.b(x).sigmoid() - 0.5).double().sum(1)


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": linear(8, 4)},
    free={"a": 8},
)
def in_place(net, x):
    y = net.a(x)
    y.add_(net.a(x).tanh_()).mul_(2)
    y += net.a(x)
    y.clamp_(-2, 2)
    return net.b(F.relu(y, inplace=True)), y.sum(1)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept={"a": "reduces over the units"})
def in_place_through_a_view(net, x):
    y = net.a(x)
    y.view(x.shape[0], -1, 1).sigmoid_()
    return y.sum(1)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept={"a": "reduces over the units"})
def in_place_on_the_base(net, x):
    y = net.a(x)
    view = y.unsqueeze(2)
    y.sigmoid_()
    return view.sum(1)


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "p": nn.PReLU(8), "q": nn.PReLU(), "b": conv(8, 4)},
    free={"a": 8},
)
def prelu(net, x):
    return net.b(net.q(net.p(net.a(x))))


@case(ROWS, lambda: {"a": linear(6, 8), "drop": nn.Dropout(), "b": linear(8, 4)}, free={"a": 8})
def dropout(net, x):
    return net.b(net.drop(net.a(x)))


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": linear(8, 4)},
    kept={"a": "random"},
)
def dropout_in_evaluation(net, x):
    """Random numbers fall otherwise on fewer units."""
    return net.b(F.dropout(net.a(x), 0.5, training=True))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "random"})
def noise(net, x):
    y = net.a(x)
    return net.b(y + torch.randn_like(y))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def constants_like_another(net, x):
    y = net.a(x)
    y = y + torch.ones_like(y) + torch.full_like(y, 2) + torch.zeros_like(y)
    return net.b(y + torch.empty_like(y).fill_(3).zero_())


@case(ROWS, lambda: {"a": linear(6, 8)}, kept={"a": "reduces over the units"})
def ones_like_lose_zeros(net, x):
    y = net.a(x)
    return torch.ones_like(y).sum(1), y.sum(1)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def copies(net, x):
    y = net.a(x).clone().detach().contiguous().float().double()
    z = torch.empty_like(y)
    z.copy_(torch.nan_to_num(y))
    return net.b(torch.ops.aten.alias(torch.ops.aten.copy(y, z))), z.sum(1)


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "as a number"})
def a_mean_by_hand(net, x):
    y = net.a(x)
    return net.b(y - y.sum(-1, keepdim=True) / y.shape[-1])


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4), "width": 8}, free={"a": 8})
def a_number_that_does_not_follow(net, x):
    """The attribute sizes nothing, so it stays as it is, and so does what is computed from it."""
    y = net.a(x)
    return net.b(y - y.sum(-1, keepdim=True) / net.width)


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": linear(6, 8), "c": linear(8, 4)},
    kept={"a": "not finite"},
)
def divided_by_what_becomes_zero(net, x):
    """0 / 0 is no number, and no weight of zero makes it one."""
    return net.c(net.a(x) / net.b(x))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "not finite"})
def logarithm_of_what_becomes_zero(net, x):
    return net.b(net.a(x).relu().log().clamp(min=-3))


@case(
    IMAGES,
    lambda: {"a": weight(8, 3, 3, 3), "b": conv(8, 4)},
    kept={"a": "not finite"},
)
def normalised_weights(net, x):
    return net.b(F.conv2d(x, net.a / net.a.square().sum((1, 2, 3), keepdim=True).sqrt()))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def leaky_at_random(net, x):
    """It draws no random numbers but in training."""
    y = F.rrelu(net.a(x))
    return net.b(y), y.sum(1)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def mantissa_and_exponent(net, x):
    mantissa, exponent = torch.frexp(net.a(x))
    return net.b(exponent.double()), mantissa.sum(1)
