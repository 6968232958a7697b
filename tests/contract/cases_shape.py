import torch
from models import IMAGES, LINES, ROWS, SEQUENCES, SQUARES, case, conv, linear, weight
from torch import nn
from torch.nn import functional as F


@case(SQUARES, lambda: {"a": conv(3, 8), "b": linear(8 * 36, 4)}, free={"a": 8})
def flatten(net, x):
    return net.b(net.a(x).sigmoid().flatten(1))


@case(SQUARES, lambda: {"a": conv(3, 8), "b": linear(36 * 8, 4)}, free={"a": 8})
def flatten_channels_last(net, x):
    return net.b(net.a(x).sigmoid().permute(0, 2, 3, 1).reshape(x.size(0), -1))


@case(SQUARES, lambda: {"a": conv(3, 8), "b": linear(288, 4), "size": 288}, free={"a": 8})
def flatten_to_an_attribute(net, x):
    return net.b(net.a(x).reshape(-1, net.size))


@case(SQUARES, lambda: {"a": conv(3, 8), "b": linear(288, 4)}, kept={"a": "size 288 is a literal"})
def flatten_to_a_literal(net, x):
    return net.b(net.a(x).reshape(-1, 288))


@case(
    IMAGES,
    lambda: {"a": conv(3, 12), "b": conv(12, 4), "groups": 3},
    free={"a": 3, "a#2": 4},
)
def channel_shuffle(net, x):
    y = net.a(x)
    b, c, h, w = y.shape
    y = y.view(b, net.groups, c // net.groups, h, w).transpose(1, 2).reshape(b, -1, h, w)
    return net.b(y)


@case(
    IMAGES,
    lambda: {"a": conv(3, 12), "b": conv(12, 4), "shuffle": nn.ChannelShuffle(3)},
    free={"a": 4},
)
def channel_shuffle_of_pytorch(net, x):
    return net.b(net.shuffle(net.a(x)))


@case(
    IMAGES,
    lambda: {"a": conv(3, 20), "b": conv(5, 4)},
    free={"a": 5},
    kept={"a#2": "literal", "a#3": "literal"},
)
def pixel_shuffle_by_hand(net, x):
    y = net.a(x)
    b, _, h, w = y.shape
    y = y.view(b, -1, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3)
    return net.b(y.reshape(b, -1, 2 * h, 2 * w))


@case(IMAGES, lambda: {"a": conv(3, 20), "b": conv(5, 4)}, free={"a": 5})
def pixel_shuffle(net, x):
    return net.b(F.pixel_shuffle(net.a(x), 2))


@case(IMAGES, lambda: {"a": conv(3, 5), "b": conv(20, 4)}, free={"a": 5})
def pixel_unshuffle(net, x):
    return net.b(F.pixel_unshuffle(net.a(x), 2))


@case(
    SQUARES,
    lambda: {"a": conv(3, 8), "b": linear(32, 4)},
    free={"a": 8},
)
def patches(net, x):
    """Space to depth, as Swin merges patches."""
    y = net.a(x).permute(0, 2, 3, 1)
    parts = [y[:, 0::2, 0::2], y[:, 1::2, 0::2], y[:, 0::2, 1::2], y[:, 1::2, 1::2]]
    return net.b(torch.cat(parts, -1).flatten(1, 2))


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def moved_dims(net, x):
    y = net.a(x).transpose(1, 2).unsqueeze(0).movedim(2, 0).squeeze(1)
    y = y.unsqueeze_(0).squeeze_(0).swapaxes(0, 1).transpose_(1, 2)
    return net.b(y)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(4, 4)}, free={"a": 4}, kept={"a#2": "literal"})
def a_literal_factor(net, x):
    """The 2 is a literal, the rest is worked out."""
    return net.b(net.a(x).view(-1, 2, net.b.in_features).sum(1))


@case(
    ROWS,
    lambda: {"a": linear(6, 24), "b": linear(24, 4), "shape": (4, 6)},
    free={"a": 4, "a#2": 6},
)
def a_tuple_of_sizes(net, x):
    return net.b(net.a(x).unflatten(1, net.shape).transpose(1, 2).flatten(1))


@case(
    ROWS,
    lambda: {"a": linear(6, 24), "b": linear(24, 4)},
    kept={"a": "not a multiple of 3"},
)
def factorings_that_do_not_fit(net, x):
    y = net.a(x)
    one = y.view(-1, 4, net.a.out_features // 4).transpose(1, 2).flatten(1)
    other = y.view(-1, 3, net.a.out_features // 3).transpose(1, 2).flatten(1)
    return net.b(one) + net.b(other)


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": linear(6, 5), "c": weight(4, 8, 5)},
    free={"a": 8, "b": 5},
)
def outer_product(net, x):
    both = net.a(x).unsqueeze(2) * net.b(x).unsqueeze(1)
    return F.linear(both.flatten(1), net.c.flatten(1))


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(16, 4)}, free={"a": 8})
def repeat(net, x):
    return net.b(net.a(x).sigmoid().repeat(1, 2, 2))


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(16, 4)}, free={"a": 8})
def repeat_interleaved(net, x):
    y = net.a(x).unsqueeze(-1).expand(-1, -1, -1, 2)
    return net.b(y.flatten(2))


@case(ROWS, lambda: {"a": linear(6, 1), "b": linear(6, 8), "c": linear(8, 4)}, free={"b": 8})
def expand_as_another(net, x):
    y = net.b(x)
    return net.c(y * net.a(x).expand_as(y))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "size 8 is a literal"})
def expand_to_a_literal(net, x):
    y = net.a(x)
    return net.b(y * y.mean(1, keepdim=True).expand(-1, 8))


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 8), "b": nn.Conv1d(8, 4, 1)},
    kept={"a": "windows"},
)
def windows_of_channels(net, x):
    y = net.a(x)
    return net.b(y.transpose(1, 2)), y.unfold(2, 3, 1).sum(-1)


@case(LINES, lambda: {"a": nn.Conv1d(3, 8, 3), "b": nn.Conv1d(8, 4, 1)}, free={"a": 8})
def windows_in_time(net, x):
    return net.b(net.a(x).unfold(2, 3, 2).sum(-1))


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 8), "b": linear(8, 4)},
    free={"a": 8},
)
def tokens_in_the_batch(net, x):
    b, n, c = x.shape
    y = net.a(x.view(b * n, c))
    return net.b(y.view(b, n, -1)).reshape(-1, b * n)


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 12), "b": linear(12, 4), "heads": 3, "dim": 4},
    free={"a": 3, "a#2": 4},
)
def sizes_by_arithmetic(net, x):
    y = net.a(x).view(*x.shape[:-1], net.heads, net.dim).transpose(1, 2)
    return net.b(y.transpose(1, 2).reshape(*x.shape[:2], net.heads * net.dim))


@case(
    ROWS,
    lambda: {"a": linear(6, 12), "b": linear(6, 12), "c": linear(12, 4), "size": 3},
    free={"a": 3},
    kept={"a#2": "size 4 is a literal"},
)
def one_attribute_for_two_axes(net, x):
    """`size` sizes a factor of both, so that they are one axis."""
    one = net.a(x).view(-1, net.size, 4).transpose(1, 2)
    other = net.b(x).view(-1, 4, net.size)
    return net.c(one.flatten(1).sigmoid()) + net.c(other.flatten(1).sigmoid())


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 8), "times": 3, "b": linear(24, 4)},
    free={"a": 8},
)
def each_unit_several_times(net, x):
    y = net.a(x)
    return net.b(y.repeat_interleave(net.times, 2)), net.b(torch.repeat_interleave(y, 3, dim=-1))


@case(IMAGES, lambda: {"a": conv(3, 8), "b": conv(8, 4)}, free={"a": 4})
def native_channel_shuffle(net, x):
    with torch.no_grad():  # it has no derivative
        y = torch.native_channel_shuffle(net.a(x), 2)
    return net.b(y)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "as plain numbers"})
def read_as_numbers(net, x):
    y = net.a(x)
    return net.b(y) * len(y[0]) + len(y[0].tolist()) + y.detach().numpy().mean()


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def counted(net, x):
    y = net.a(x)
    return net.b(y.view(y.numel() // y.shape[-1], -1)), y[..., 0:0].numel()


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "as a number"})
def divided_by_its_count(net, x):
    y = net.a(x)
    return net.b(y / y.numel())


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def windows_over_a_padded_sequence(net, x):
    y = F.pad(net.a(x).sigmoid(), (0, 0, 0, -x.shape[1] % 4))
    windows = y.view(y.shape[0], y.shape[1] // 4, 4, y.shape[2])
    return net.b(windows.amax(2))
