import torch
from models import IMAGES, LINES, ROWS, SEQUENCES, SQUARES, case, conv, linear, weight
from torch import nn
from torch.nn import functional as F


@case(
    IMAGES,
    lambda: {"a": conv(3, 8, bias=False), "norm": nn.BatchNorm2d(8), "b": conv(8, 4)},
    free={"a": 8},
)
def batch_norm2d(net, x):
    return net.b(net.norm(net.a(x)).relu())


@case(ROWS, lambda: {"a": linear(6, 8), "norm": nn.BatchNorm1d(8)}, free={"a": 8})
def batch_norm_keeps_zeros(net, x):
    return net.norm(net.a(x)).sum(1)


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "norm": nn.BatchNorm1d(8, affine=False), "b": linear(8, 4)},
    free={"a": 8},
)
def batch_norm_without_scale(net, x):
    return net.b(net.norm(net.a(x)))


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "norm": nn.BatchNorm1d(8, affine=False)},
    kept={"a": "reduces over the units"},
)
def batch_norm_that_loses_zeros(net, x):
    return net.norm(net.a(x)).sum(1)


@case(
    IMAGES,
    lambda: {
        "a": conv(3, 8),
        "norm": nn.BatchNorm2d(8, track_running_stats=False),
        "b": conv(8, 4),
    },
    free={"a": 8},
)
def batch_norm_of_the_batch(net, x):
    return net.b(net.norm(net.a(x)))


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "norm": nn.InstanceNorm2d(8, affine=True), "b": conv(8, 4)},
    free={"a": 8},
)
def instance_norm(net, x):
    return net.b(net.norm(net.a(x)))


@case(
    LINES,
    lambda: {
        "a": nn.Conv1d(3, 8, 3),
        "norm": nn.InstanceNorm1d(8, track_running_stats=True),
        "b": nn.Conv1d(8, 4, 1),
    },
    free={"a": 8},
)
def instance_norm_with_statistics(net, x):
    return net.b(net.norm(net.a(x)))


@case(
    IMAGES,
    lambda: {"a": conv(3, 12), "norm": nn.GroupNorm(4, 12), "b": conv(12, 4)},
    free={"a": 4},
    kept={"a#2": "normalises over the units"},
)
def group_norm(net, x):
    return net.b(net.norm(net.a(x)))


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "norm": nn.GroupNorm(8, 8), "b": conv(8, 4)},
    free={"a": 8},
)
def group_norm_of_single_channels(net, x):
    return net.b(net.norm(net.a(x)))


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "b": conv(8, 4)},
    kept={"a": "is a literal"},
)
def group_norm_with_a_literal(net, x):
    return net.b(F.group_norm(net.a(x), 8))


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "norm": nn.GroupNorm(1, 8), "b": conv(8, 4)},
    kept={"a": "normalises over the units"},
)
def group_norm_over_all(net, x):
    return net.b(net.norm(net.a(x)))


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 8), "norm": nn.LayerNorm(8), "b": linear(8, 4)},
    kept={"a": "normalises over the units"},
)
def layer_norm(net, x):
    return net.b(net.norm(net.a(x)))


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "b": conv(8, 4)},
    free={"a": 8},
)
def layer_norm_over_space(net, x):
    y = net.a(x)
    return net.b(F.layer_norm(y, y.shape[2:]))


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 8), "norm": nn.RMSNorm(8), "b": linear(8, 4)},
    kept={"a": "reduces over the units"},
)
def rms_norm(net, x):
    return net.b(net.norm(net.a(x)))


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 8), "scale": weight(8), "b": linear(8, 4)},
    kept={"a": "reduces over the units"},
)
def rms_norm_by_hand(net, x):
    y = net.a(x)
    return net.b(net.scale * y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def unit_length(net, x):
    return net.b(F.normalize(net.a(x), dim=1))


DIVIDED = "divided by its norm"


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": nn.utils.parametrizations.weight_norm(linear(8, 4))},
    free={"a": 8},
)
def weight_norm_of_a_reader(net, x):
    """The norm of a row is that of what is left of it."""
    return net.b(net.a(x).sigmoid())


@case(
    ROWS,
    lambda: {"a": nn.utils.parametrizations.weight_norm(linear(6, 8)), "b": linear(8, 4)},
    kept={"a.parametrizations.weight.original0": DIVIDED},
)
def weight_norm(net, x):
    """Where the mask makes 0 / 0."""
    return net.b(net.a(x))


@case(
    IMAGES,
    lambda: {"v": weight(8, 3, 3, 3), "g": weight(1, 1, 1, 3), "b": conv(8, 4)},
    free={"v": 8},
)
def weight_norm_along_the_last_dim(net, x):
    return net.b(F.conv2d(x, torch._weight_norm(net.v, net.g, 3)))


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "scale": weight(1, 8, 1, 1), "b": conv(8, 4)},
    free={"a": 8},
)
def layer_scale(net, x):
    return net.b(net.a(x).sigmoid() * net.scale)


@case(
    IMAGES,
    lambda: {"a": weight(8, 3, 3, 3), "b": conv(8, 4)},
    free={"a": 8},
)
def standardised_weights(net, x):
    mean = net.a.mean((1, 2, 3), keepdim=True)
    spread = net.a.std((1, 2, 3), keepdim=True) + 1e-3
    return net.b(F.conv2d(x, (net.a - mean) / spread))


@case(
    SQUARES, lambda: {"a": conv(3, 8), "norm": nn.LayerNorm([6, 6]), "b": conv(8, 4)}, free={"a": 8}
)
def layer_norm_of_space(net, x):
    return net.b(net.norm(net.a(x)))


@case(
    SQUARES,
    lambda: {"a": conv(3, 8), "norm": nn.LayerNorm([6, 6])},
    kept={"a": "reduces over the units"},
)
def layer_norm_of_space_loses_zeros(net, x):
    """What was zero becomes the shift."""
    return net.norm(net.a(x)).sum(1)


@case(SQUARES, lambda: {"a": conv(3, 8), "b": conv(8, 4)}, free={"a": 8})
def layer_norm_of_space_without_a_shift(net, x):
    y = F.layer_norm(net.a(x), (6, 6))
    return net.b(y), y.sum(1)


@case(IMAGES, lambda: {"a": conv(3, 8), "b": conv(8, 4)}, free={"a": 8})
def limited_norms(net, x):
    y = net.a(x)
    y = y.renorm(2, 0, 1.0) + y.renorm(1, 1, 0.5)
    return net.b(y), y.sum(1)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "normalises over"})
def limited_norms_lose_zeros(net, x):
    return net.b(net.a(x).exp().renorm(2, 0, 1.0))


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "b": conv(8, 6), "c": conv(6, 4), "gain": weight(6)},
    free={"b": 6},
    kept={"a": "normalises over the units"},
)
def standardised_weight(net, x):
    flat = net.b.weight.flatten(1).unsqueeze(0)
    flat = F.batch_norm(flat, None, None, weight=net.gain, training=True)
    return net.c(F.conv2d(net.a(x).relu(), flat.view_as(net.b.weight), net.b.bias, padding=1))
