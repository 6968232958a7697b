import torch
from models import ROWS, SEQUENCES, case, linear, weight
from torch import nn
from torch.nn import functional as F


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def linear_layers(net, x):
    return net.b(net.a(x).sigmoid())


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 8, bias=False), "b": linear(8, 4, bias=False)},
    free={"a": 8},
)
def linear_without_bias(net, x):
    return net.b(net.a(x).sigmoid())


@case(ROWS, lambda: {"a": weight(6, 8), "b": weight(8, 4), "c": weight(4)}, free={"a": 8})
def bare_matrices(net, x):
    return torch.addmm(net.c, (x @ net.a).sigmoid(), net.b)


@case(ROWS, lambda: {"a": linear(6, 8), "b": weight(8)}, free={"a": 8})
def matrix_and_vector(net, x):
    return net.a(x).sigmoid() @ net.b


@case(ROWS, lambda: {"a": weight(8, 6), "b": weight(8), "c": weight(5, 8)}, free={"a": 8})
def vector_with_a_bias(net, x):
    hidden = torch.addmv(net.b, net.a, x[0])
    return net.c @ hidden, torch.dot(hidden, net.b), torch.vdot(net.b, hidden)


@case(
    ROWS,
    lambda: {"a": linear(6, 24), "b": weight(2, 24, 20), "c": weight(2, 8, 20)},
    free={"a": 6, "b.in": 5},
)
def rows_dealt_out_among_matrices(net, x):
    # The kernel knows float32 alone, in rows of 16 bytes: units are cut four numbers at a time.
    four, ends = torch.arange(1, 5), torch.tensor([1, x.shape[0]]).int()
    hidden = (net.a(x).unflatten(1, (-1, 4)) * four).flatten(1).float()
    one = (net.b.unflatten(2, (-1, 4)) * four).flatten(2).float()
    hidden = torch._grouped_mm(hidden, one, offs=ends)
    return torch._grouped_mm(hidden.relu(), net.c.float().transpose(1, 2), offs=ends)


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": weight(8, 4), "c": weight(4)}, free={"b": 8})
def batched_matrices(net, x):
    return torch.baddbmm(net.c, net.a(x), net.b.expand(x.shape[0], -1, -1))


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 8), "b": linear(6, 8), "c": weight(4, 8)},
    free={"a": 8},
)
def product_of_activations(net, x):
    scores = net.a(x) @ net.b(x).transpose(1, 2)
    return scores @ net.b(x).sigmoid() @ net.c.T


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 8), "b": linear(6, 8)},
    kept={"a": "not zero when removed"},
)
def product_that_loses_its_zeros(net, x):
    return net.a(x).sigmoid() @ net.b(x).exp().transpose(1, 2)


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 8), "b": linear(6, 8)},
    free={"a": 8},
)
def product_where_one_keeps_its_zeros(net, x):
    return net.a(x).relu() @ net.b(x).exp().transpose(1, 2)


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": weight(4, 8)}, free={"a": 8})
def einsum(net, x):
    return torch.einsum("btc,oc->bto", net.a(x).sigmoid(), net.b)


@case(
    SEQUENCES,
    lambda: {"up": weight(3, 6, 8), "down": weight(3, 8, 4)},
    free={"up.in": 8},
)
def a_product_for_each_expert(net, x):
    hidden = torch.einsum("bti,eih->beth", x, net.up).relu()
    return torch.einsum("beth,eho->beto", hidden, net.down)


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": nn.Bilinear(8, 8, 4), "c": linear(6, 8)},
    free={"a": 8, "c": 8},
)
def bilinear(net, x):
    return net.b(net.a(x), net.c(x))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 8), "c": linear(8, 4)}, free={"a": 8})
def square_with_a_shortcut(net, x):
    x = net.a(x)
    return net.c(x + net.b(x))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 6)}, free={"a": 8})
def tied_matrices(net, x):
    return F.linear(net.a(x).sigmoid(), net.a.weight.T), net.b(net.a(x).sigmoid())


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": nn.Bilinear(8, 8, 5), "c": linear(5, 4)},
    free={"a": 8, "b": 5},
)
def bilinear_with_itself(net, x):
    y = net.a(x)
    return net.c(net.b(y, y))


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "table": weight(5, 8), "b": linear(5, 4)},
    free={"a": 8},
    kept={"table": ""},
)
def distances_to_a_table(net, x):
    y = net.a(x)
    far = torch.cdist(y, net.table, p=1.0) + torch.cdist(
        y[None], net.table[None], compute_mode="use_mm_for_euclid_dist"
    ).squeeze(0)
    return net.b(far), torch.cdist(net.table, y).argmin(0)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept={"a": "not zero when removed"})
def distances_that_lose_zeros(net, x):
    return torch.cdist(net.a(x).exp(), net.a(x).relu())


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def products_summed_over_the_batch(net, x):
    y = net.a(x)
    y = torch.addbmm(y[0] * 0, y @ y.mT, y)
    return net.b(y), torch.addr(y * 0, y.sum(1), y.sum(0)).sum(1)
