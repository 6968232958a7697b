"""What writes by index."""

import warnings

import torch
from models import IMAGES, ROWS, SEQUENCES, case, conv, linear, weight

BY_INDEX = "written by index"
LOST = "reduces over the units"


def first(y, dim):
    """Return an index that sends everything along `dim` to place 0, but for the last to 1."""
    places = torch.zeros_like(y, dtype=torch.long)
    places.select(dim, -1).fill_(1)
    return places


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(6, 8), "c": linear(8, 4)}, free={"a": 8})
def rows_written_by_index(net, x):
    y, z = net.a(x), net.b(x)
    places = torch.tensor([1, 0])
    y = y.index_add(0, places, z[:2]).index_copy(0, places[:1], z[2:3])
    with warnings.catch_warnings(action="ignore"):  # it is in beta
        y = y.index_reduce(0, places, z[:2], "amax").index_fill(0, places[:1], 0.0)
    return net.c(y), y.sum(1)


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(6, 8), "c": linear(8, 4)}, free={"a": 8})
def elements_scattered_over_tokens(net, x):
    y, z = net.a(x), net.b(x)
    y = y.scatter_add(1, first(z, 1), z) + y.scatter(1, first(z, 1)[:, -1:], 0.0)
    y = (
        y
        + y.scatter_reduce(1, first(z, 1), z, "mean")
        - z.scatter(1, first(y, 1)[:, -1:], y[:, :1])
    )
    return net.c(y), y.sum(2)


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": BY_INDEX})
def elements_scattered_over_units(net, x):
    y = net.a(x)
    return net.b(torch.zeros_like(y).scatter_add(2, (y > 0).long(), y))


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": BY_INDEX})
def elements_scattered_from_some(net, x):
    """The index is narrower than the tensor: only the first units are written to."""
    y = net.a(x)
    return net.b(y.scatter_add(1, torch.ones(x.shape[0], 2, 3, dtype=torch.long), y))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def a_constant_scattered(net, x):
    y = net.a(x)
    return net.b(y.scatter(0, first(y, 0)[:1], 2.0) + y.index_fill(0, torch.tensor([1]), 2.0))


@case(ROWS, lambda: {"a": linear(6, 8)}, kept={"a": LOST})
def a_constant_scattered_loses_zeros(net, x):
    y = net.a(x)
    return y.scatter(0, first(y, 0)[:1], 2.0).sum(1)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept={"a": LOST})
def a_constant_by_index_loses_zeros(net, x):
    return net.a(x).index_fill(0, torch.tensor([1]), torch.tensor(2.0).double()).sum(1)


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 8), "mark": weight(8), "b": linear(8, 4)},
    free={"a": 8},
)
def tokens_written_over(net, x):
    """By numbers, by a mask, and where the indexed dims are no neighbours."""
    y = net.a(x)
    y = y.index_put((torch.tensor([1, 0]), torch.tensor([0, 2])), net.mark)
    y = y.index_put((x[..., 0] > 0,), net.mark) + y.index_put((torch.tensor(1),), y[0])
    y[:, torch.tensor([1, 3])] = net.mark + y[:, :1]
    z = y[None] + 0
    z[torch.tensor([0]), :, torch.tensor([1])] = y[:, 1]
    return net.b(y), net.b(z[0])


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def numbers_written_over(net, x):
    y = net.a(x)
    y[:, torch.tensor([1, 3])] = 1.0
    return net.b(y)


@case(SEQUENCES, lambda: {"a": linear(6, 8)}, kept={"a": LOST})
def numbers_written_over_lose_zeros(net, x):
    y = net.a(x)
    y[:, torch.tensor([1, 3])] = 1.0
    return y.sum(2)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": BY_INDEX})
def units_written_over(net, x):
    y = net.a(x)
    return net.b(y.index_put((torch.tensor([0]), torch.tensor([3])), x[0, :1]))


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 8), "mark": weight(40, 8), "b": linear(8, 4)},
    free={"a": 8},
)
def whole_tokens_written_where_a_mask_holds(net, x):
    """As images are put into the text of a language model."""
    y = net.a(x)
    y = y.masked_scatter((x[..., :1] > 0).expand_as(y), net.mark)
    return net.b(y), y.sum(2)


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": BY_INDEX})
def elements_written_where_a_mask_holds(net, x):
    y = net.a(x)
    return net.b(y.masked_scatter(y > 0, y.exp()))


@case(IMAGES, lambda: {"a": conv(3, 8), "b": conv(3, 8), "c": conv(8, 4)}, free={"a": 8})
def lines_written_over(net, x):
    y, z = net.a(x), net.b(x)
    y = torch.select_scatter(y, z[:, :, 1], 2, 0)
    y = torch.slice_scatter(y, z[:, :, :2], 2, 1, 3)
    return net.c(y), y.sum(1)


@case(IMAGES, lambda: {"a": conv(3, 8), "c": conv(8, 4)}, kept={"a": BY_INDEX})
def channels_written_over(net, x):
    y = net.a(x)
    return net.c(torch.select_scatter(y, y[:, 1], 1, 0))
