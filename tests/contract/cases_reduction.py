import torch
from models import IMAGES, ROWS, SEQUENCES, case, conv, linear
from torch.nn import functional as F

INEXACT = {"a": "reduces over the units"}


@case(IMAGES, lambda: {"a": conv(3, 8), "b": linear(8, 4)}, free={"a": 8})
def mean_over_space(net, x):
    return net.b(net.a(x).sigmoid().mean((2, 3)))


@case(IMAGES, lambda: {"a": conv(3, 8), "b": linear(8, 4)}, free={"a": 8})
def many_over_space(net, x):
    y = net.a(x)
    parts = y.amax((2, 3)), y.amin((-1, -2)), y.std((2, 3)), y.flatten(2).max(2)[0], y.sum((2, 3))
    more = y.flatten(2).median(-1).values + y.flatten(2).min(-1, keepdim=True)[0].squeeze(-1)
    rest = y.logsumexp((2, 3)) + y.flatten(2).prod(2) + torch.linalg.vector_norm(y, dim=(2, 3))
    return net.b(sum(parts) + more + rest + y.var((2, 3)) + torch.nansum(y, (2, 3)))


@case(IMAGES, lambda: {"a": conv(3, 8), "b": linear(8, 4)}, free={"a": 8})
def whole_numbers_over_space(net, x):
    y = net.a(x)
    flat = y.flatten(2)
    whole = flat.argmax(2) + flat.argmin(2) + torch.count_nonzero(y, (2, 3))
    true = (y > 0).any(3).any(2) | (y > -1).all(3).all(2)
    return net.b(y.mean((2, 3)) + whole.double() + true.double())


@case(SEQUENCES, lambda: {"a": linear(6, 8)}, free={"a": 8})
def sums_over_zeros(net, x):
    y = net.a(x).relu()
    norms = y.norm(dim=-1) + torch.linalg.vector_norm(y, ord=1, dim=-1)
    return (
        y.sum(-1) + norms + torch.count_nonzero(y, -1) + (y > 0).any(-1),
        y.nansum((1, 2)),
        y.sum(),
    )


@case(ROWS, lambda: {"a": linear(6, 8)}, kept=INEXACT)
def mean(net, x):
    return net.a(x).mean(1)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept=INEXACT)
def mean_of_all(net, x):
    return net.a(x).mean()


@case(ROWS, lambda: {"a": linear(6, 8)}, kept=INEXACT)
def amax(net, x):
    """All may be below zero: then a zero more is the largest."""
    return net.a(x).amax(1)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept=INEXACT)
def amin(net, x):
    return net.a(x).relu().amin(1)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept=INEXACT)
def argmax(net, x):
    """The place of the largest moves when units before it go."""
    return net.a(x).relu().argmax(1), x


@case(ROWS, lambda: {"a": linear(6, 8)}, kept=INEXACT)
def argmin(net, x):
    return net.a(x).argmin(1)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept=INEXACT)
def largest(net, x):
    return net.a(x).max(dim=1).values


@case(ROWS, lambda: {"a": linear(6, 8)}, kept=INEXACT)
def largest_of_all(net, x):
    return net.a(x).max() - net.a(x).min()


@case(ROWS, lambda: {"a": linear(6, 8)}, kept=INEXACT)
def largest_of_channels(net, x):
    """CBAM: the mean and the maximum over the channels."""
    return net.a(x).max(1, keepdim=True)[0], x


@case(ROWS, lambda: {"a": linear(6, 8)}, kept=INEXACT)
def variance(net, x):
    return net.a(x).var(1)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept=INEXACT)
def products(net, x):
    return net.a(x).prod(1)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept=INEXACT)
def all_positive(net, x):
    return (net.a(x) > 0).all(1)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "mixes the units"})
def softmax(net, x):
    return net.b(net.a(x).softmax(1))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "mixes the units"})
def log_softmax(net, x):
    return net.b(F.log_softmax(net.a(x), dim=-1))


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def softmax_over_tokens(net, x):
    y = net.a(x)
    return net.b((y.softmax(1) * y).sum(1) + y.log_softmax(1).mean(1))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "mixes the units"})
def cumsum(net, x):
    return net.b(net.a(x).cumsum(1))


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def along_tokens(net, x):
    y = net.a(x)
    parts = y.cumsum(1) + y.sort(1)[0] + y.cumprod(1) + y.cummax(1).values
    return net.b(parts + y.topk(2, dim=1)[0].sum(1, keepdim=True))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "mixes the units"})
def sort(net, x):
    return net.b(net.a(x).sort(dim=1).values)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(3, 4)}, kept={"a": "picks units by value"})
def topk(net, x):
    return net.b(net.a(x).topk(3, dim=1)[0])


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def order_of_tokens(net, x):
    y = net.a(x)
    z = y.cumsum(1) + y.sort(1)[0] + y.cumprod(1) + y.cummax(1)[0] + y.cummin(1)[0]
    z = (
        z
        + y.kthvalue(2, 1, keepdim=True)[0]
        + y.mode(1, keepdim=True)[0]
        + torch.aminmax(y, dim=1)[0][:, None]
    )
    z = z + y.nanmedian(1, keepdim=True)[0] + y.topk(2, 1)[0].sum(1, keepdim=True)
    return net.b(z), z.sum(2), net.b(y.logcumsumexp(1))


@case(SEQUENCES, lambda: {"a": linear(6, 8)}, kept=INEXACT)
def places_in_order_lose_zeros(net, x):
    return net.a(x).sort(1)[1].double().sum(2)


@case(SEQUENCES, lambda: {"a": linear(6, 8)}, kept=INEXACT)
def a_soft_maximum_loses_zeros(net, x):
    return net.a(x).logcumsumexp(1).sum(2)


@case(SEQUENCES, lambda: {"a": linear(6, 8)}, kept=INEXACT)
def extremes_of_units(net, x):
    return torch.aminmax(net.a(x), dim=2)[0] + torch.aminmax(net.a(x))[1]


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "picks units by value"})
def places_counted(net, x):
    y = net.a(x)
    places = y.topk(2, dim=1)[1].reshape(-1)
    number = torch.histc(places.float(), bins=y.shape[1], min=0, max=y.shape[1] - 1)
    return net.b(y + number)
