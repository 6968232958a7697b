import torch
from models import IMAGES, ROWS, SEQUENCES, SQUARES, TOKENS, case, conv, linear, weight
from torch import nn
from torch.nn import functional as F


@case(TOKENS, lambda: {"table": nn.Embedding(11, 8), "b": linear(8, 4)}, free={"table": 8})
def embedding(net, x):
    return net.b(net.table(x))


@case(
    TOKENS,
    lambda: {"table": nn.Embedding(11, 8), "b": linear(8, 8)},
    free={"table": 8},
    kept={"table.in": "picked by the data"},
)
def embedding_tied_to_the_output(net, x):
    y = net.table(x)
    return F.linear(y + net.b(y), net.table.weight)


@case(
    TOKENS,
    lambda: {"table": nn.Embedding(11, 8), "place": nn.Embedding(9, 8), "b": linear(8, 4)},
    free={"table": 8},
)
def embedding_of_places(net, x):
    places = torch.arange(x.shape[1], device=x.device)
    return net.b(net.table(x) + net.place(places))


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 8), "bias": weight(9, 8), "b": linear(8, 4)},
    free={"a": 8},
)
def index_of_other_dims(net, x):
    places = torch.tensor([0, 3, 2])
    y = net.a(x)[:, places] + net.bias[places]
    return net.b(y), net.b(net.a(x)[torch.tensor([1, 0]), places[:2]])


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(3, 4)}, kept={"a": "picked by index"})
def index_of_units(net, x):
    return net.b(net.a(x)[:, torch.tensor([0, 5, 2])])


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "picked by index"})
def index_select_of_units(net, x):
    order = torch.tensor([7, 6, 5, 4, 3, 2, 1, 0])
    return net.b(net.a(x).index_select(1, order))


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def index_select_of_tokens(net, x):
    return net.b(net.a(x).index_select(1, torch.tensor([1, 3])))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "picked by index"})
def gather_of_units(net, x):
    y = net.a(x)
    return net.b(y.gather(1, y.argsort(1)))


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def gather_of_tokens(net, x):
    y = net.a(x)
    places = torch.zeros_like(y[:, :2], dtype=torch.long) + 1
    return net.b(y.gather(1, places))


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(3, 4)}, kept={"a": "picked from"})
def gather_of_some(net, x):
    """The index is narrower than the tensor: only the first units are read."""
    y = net.a(x)
    return net.b(y.gather(1, torch.ones(x.shape[0], 2, 3, dtype=torch.long)))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "change places"})
def flip(net, x):
    return net.b(net.a(x).flip(1))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "change places"})
def roll(net, x):
    return net.b(net.a(x).roll(2, 1))


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def flip_of_tokens(net, x):
    return net.b(net.a(x).flip(1) + net.a(x).roll(1, dims=1))


@case(TOKENS, lambda: {"a": linear(11, 8), "b": linear(8, 4)}, free={"a": 8})
def one_hot(net, x):
    return net.b(net.a(F.one_hot(x, 11).double()))


@case(IMAGES, lambda: {"a": conv(3, 8), "b": conv(8, 4)}, free={"a": 8})
def turned_in_space(net, x):
    y = net.a(x).rot90(1, (2, 3))
    return net.b(y), y.rot90(2, (2, 3)).sum(1)


@case(SQUARES, lambda: {"a": conv(3, 6), "b": conv(6, 4)}, kept={"a": "change places"})
def turned_over_the_units(net, x):
    return net.b(net.a(x).rot90(1, (1, 2)))


@case(TOKENS, lambda: {"a": nn.EmbeddingBag(11, 8), "b": linear(8, 4)}, free={"a": 8})
def embedding_bag(net, x):
    y = net.a(x) + F.embedding_bag(x, net.a.weight, mode="max")
    return net.b(y), y.sum(1)


@case(TOKENS, lambda: {"a": nn.EmbeddingBag(11, 8, mode="sum"), "b": linear(8, 4)}, free={"a": 8})
def embedding_bag_with_weights(net, x):
    flat, starts = x.flatten(), torch.arange(0, x.numel(), x.shape[1])
    y = net.a(x, per_sample_weights=x.double())
    y = y + torch._embedding_bag(net.a.weight, flat, starts)[0]
    with torch.no_grad():  # it has no derivative
        y = y + torch._embedding_bag_forward_only(net.a.weight, flat, starts)[0]
    return net.b(y)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def ranks_of_elements(net, x):
    y, among = net.a(x), torch.tensor([-1.0, 0.0, 1.0]).double()
    ranks = torch.bucketize(y, among) + torch.searchsorted(among, y) + torch.isin(y, among)
    return net.b(ranks.double() + y)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept={"a": "reduces over the units"})
def ranks_lose_zeros(net, x):
    return torch.bucketize(net.a(x), torch.tensor([-1.0, 0.0]).double()).sum(1)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "looked for"})
def ranks_among_units(net, x):
    y = net.a(x)
    return net.b(y + torch.searchsorted(y.sort(1)[0], y))
