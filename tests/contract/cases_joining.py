import torch
from models import IMAGES, ROWS, SEQUENCES, case, conv, linear, weight
from torch.nn import functional as F


@case(
    IMAGES,
    lambda: {"a": conv(3, 6), "b": conv(6, 4), "c": conv(10, 5), "d": conv(15, 4)},
    free={"a": 6, "b": 4, "c": 5},
)
def dense_block(net, x):
    """Each layer reads all that came before: parts of unequal size."""
    x = net.a(x)
    x = torch.cat([x, net.b(x.sigmoid())], dim=1)
    x = torch.cat([x, net.c(x.sigmoid())], dim=1)
    return net.d(x)


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 8), "b": linear(6, 5), "c": linear(13, 4)},
    free={"a": 8, "b": 5},
)
def cat_of_the_last_dim(net, x):
    return net.c(torch.cat([net.a(x), net.b(x)], -1))


@case(IMAGES, lambda: {"a": conv(3, 6), "b": conv(12, 4)}, free={"a": 6})
def cat_of_the_same_tensor_twice(net, x):
    y = net.a(x)
    return net.b(torch.cat((y.relu(), y.neg().relu()), 1))


@case(
    SEQUENCES,
    lambda: {"token": weight(1, 1, 8), "a": linear(6, 8), "b": linear(8, 4)},
    free={"a": 8},
)
def class_token(net, x):
    y = torch.cat([net.token.expand(x.shape[0], -1, -1), net.a(x)], dim=1)
    return net.b(y[:, 0].sigmoid())


@case(
    IMAGES,
    lambda: {"a": conv(3, 6), "b": conv(3, 4), "c": conv(3, 10), "d": conv(10, 4)},
    free={"a": 6, "b": 4},
)
def sum_of_joined_and_whole(net, x):
    """A dim of 10 that meets 6 + 4 becomes that sum, in the layer that made it too."""
    return net.d(torch.cat([net.a(x), net.b(x)], 1) + net.c(x))


@case(
    ROWS,
    lambda: {
        "a": linear(6, 4), "b": linear(6, 6), "c": linear(6, 6), "d": linear(6, 4),
        "e": linear(10, 4),
    },
    free={"a": 4, "b": 2, "b#2": 4},
)  # fmt: skip
def sums_cut_at_different_places(net, x):
    joined = torch.cat([net.a(x), net.b(x)], 1) + torch.cat([net.c(x), net.d(x)], 1)
    return net.e(joined.sigmoid())


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(4, 4)}, free={"a": 4}, kept={"a#2": "equal"})
def chunk_for_a_gate(net, x):
    value, gate = net.a(x).chunk(2, dim=-1)
    return net.b(value * gate.sigmoid())


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(4, 4)}, free={"a": 4})
def gated_linear_unit(net, x):
    return net.b(F.glu(net.a(x)))


@case(
    IMAGES,
    lambda: {"a": conv(3, 12), "b": conv(4, 4), "c": conv(12, 4)},
    free={"a": 4, "b": 4},
)
def split_cross_stage(net, x):
    """The last part goes on, all parts are joined again: C2f of YOLOv8."""
    parts = list(net.a(x).chunk(3, 1))
    parts[2] = net.b(parts[2].relu())
    return net.c(torch.cat(parts, 1))


@case(
    ROWS,
    lambda: {"a": linear(6, 10), "b": linear(4, 4), "c": linear(2, 4)},
    kept={"a": "of unequal size", "a#2": "of unequal size"},
)
def chunks_of_unequal_size(net, x):
    one, two, rest = net.a(x).chunk(3, 1)
    return net.b(one) + net.b(two) + net.c(rest)


@case(
    ROWS,
    lambda: {"a": linear(6, 10), "b": linear(6, 4), "c": linear(4, 4), "sizes": (6, 4)},
    free={"a": 6, "a#2": 4},
)
def split_by_attributes(net, x):
    one, two = torch.split(net.a(x), net.sizes, dim=1)
    return net.b(one.sigmoid()) * net.c(two.sigmoid())


@case(
    ROWS,
    lambda: {"a": linear(6, 10), "b": linear(6, 4), "c": linear(4, 4)},
    kept={"a": "size 6 is a literal", "a#2": "size 4 is a literal"},
)
def split_by_literals(net, x):
    one, two = net.a(x).split([6, 4], dim=1)
    return net.b(one) + net.c(two)


@case(
    ROWS,
    lambda: {"a": linear(6, 12), "b": linear(4, 4), "size": 4},
    free={"a": 4},
)
def split_by_one_attribute(net, x):
    one, two, three = net.a(x).split(dim=1, split_size=net.size)
    return net.b(one * two + three)


@case(
    ROWS,
    lambda: {"a": linear(6, 10), "b": linear(4, 4), "c": linear(6, 4), "at": 4},
    free={"a": 4, "a#2": 6},
)
def slices_by_an_attribute(net, x):
    y = net.a(x).sigmoid()
    return net.b(y[:, : net.at]) + net.c(y[..., net.at :])


@case(
    ROWS,
    lambda: {"a": linear(6, 10), "b": linear(7, 4), "c": linear(3, 4)},
    free={"a": 7},
    kept={"a#2": "size 3 is a literal"},
)
def slices_by_negative_literals(net, x):
    """However long the first part is, it ends three from the end."""
    y = net.a(x)
    return net.b(y[:, :-3]) + net.c(y[:, -3:])


@case(
    ROWS,
    lambda: {"a": linear(6, 10), "b": linear(5, 4)},
    free={"a": 5},
)
def slices_by_halves(net, x):
    y = net.a(x).sigmoid()
    half = y.shape[1] // 2
    return net.b(y[:, :half] * y[:, half:])


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": linear(4, 4)},
    free={"a": 4},
    kept={"a#2": "stride"},
)
def strided_slices(net, x):
    y = net.a(x).sigmoid()
    return net.b(y[:, ::2] * y[:, 1::2])


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(3, 4)}, kept={"a": "every 3th"})
def stride_that_does_not_divide(net, x):
    return net.b(net.a(x)[:, ::3])


@case(
    ROWS,
    lambda: {"a": linear(6, 10), "b": linear(4, 4), "size": 4},
    free={"a": 4, "a#2": 4},
    kept={"a#3": "size 2 is a literal"},
)
def narrow(net, x):
    y = net.a(x)
    one = y.narrow(1, 2, net.size)
    return net.b(one)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "by its number"})
def select(net, x):
    y = net.a(x)
    return net.b(y * y[:, 5].unsqueeze(1))


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "b": conv(3, 8), "mix": weight(2), "c": conv(8, 4)},
    free={"a": 8},
)
def stack(net, x):
    both = torch.stack([net.a(x), net.b(x).sigmoid()], dim=1)
    return net.c((both * net.mix.softmax(0).view(1, 2, 1, 1, 1)).sum(1))


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 24), "b": linear(8, 4)},
    free={"a": 8},
    kept={"a#2": "every position"},
)
def unbind(net, x):
    b, n, _ = x.shape
    q, k, v = net.a(x).reshape(b, n, 3, -1).unbind(2)
    return net.b(q * k.sigmoid() + v)


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": linear(8, 4)},
    kept={"a": "equal parts", "a#2": "size 2 is a literal"},
)
def written_to_a_slice(net, x):
    y = net.a(x)
    y[:, :2] = y[:, 2:4].sigmoid()
    return net.b(y)


@case(
    ROWS,
    lambda: {"a": linear(6, 4), "b": linear(6, 4), "c": linear(8, 4)},
    kept={"a": "reduces over the units"},
)
def joined_by_writing(net, x):
    """What is made as zeros does not stay so."""
    both = x.new_zeros(x.shape[0], net.c.in_features)
    half = both.shape[1] // 2
    both[:, :half] = net.a(x).sigmoid()
    both[:, half:] = net.b(x)
    return net.c(both), both.sum(1)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4), "c": linear(12, 2)}, free={"a": 8})
def joined_without_a_row(net, x):
    y, none = net.a(x), torch.zeros(0, dtype=x.dtype)
    empty = torch.cat([net.b(y)[:0], net.a(x)[:0]], 1)
    return net.b(torch.cat([none, y.flatten()]).view(y.shape)), net.c(empty)
