"""Operators that eager code rarely calls by itself: other compilers and other devices do."""

import torch
from models import IMAGES, ROWS, SEQUENCES, case, conv, linear, weight
from torch import nn

aten = torch.ops.aten


@case(ROWS, lambda: {"a": linear(6, 12), "b": linear(4, 4)}, free={"a": 4})
def views_that_copy(net, x):
    y = aten.view_copy(net.a(x), [x.shape[0], 1, -1])
    y = aten.transpose_copy(y, 1, 2)
    y = aten.permute_copy(aten.unsqueeze_copy(y, 0), [1, 0, 3, 2])
    y = aten.squeeze_copy(aten.expand_copy(y, [-1, -1, -1, -1]))
    width = net.a.out_features
    y = aten.slice_copy(aten._reshape_alias(y, [x.shape[0], width], y.stride()), 0)
    one, two, three = aten.split_copy(aten._reshape_copy(y, [x.shape[0], 1, -1]), width // 3, 2)
    return net.b((one + two * three).squeeze(1))


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def picks_that_copy(net, x):
    y = net.a(x)
    one, two, three, *_ = aten.unbind_copy(y, 1)
    four, *_ = aten.unsafe_split(y, 1, 1)
    five = aten._unsafe_index(y, [None, torch.tensor([1, 0])])
    return net.b(aten.select_copy(y, 1, 2) + one * two + three + four.squeeze(1) + five.sum(1))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def pointwise_by_name(net, x):
    y = aten.lift_fresh_copy(net.a(x)).detach_().nan_to_num_()
    y = y.masked_fill_(y < -1, 0.0)
    return net.b(aten.log_sigmoid_forward(y)[0]), (y // 0.5).sum(1)


@case(ROWS, lambda: {"a": linear(6, 8), "b": weight(8, 4), "c": weight(4)}, free={"a": 8})
def product_with_an_activation(net, x):
    with torch.no_grad():  # it has no derivative
        y = torch._addmm_activation(net.c, net.a(x), net.b)
    return y, net.a(x) @ net.b


@case(
    IMAGES,
    lambda: {"a": weight(8, 3, 3, 3), "b": conv(8, 4)},
    free={"a": 8},
)
def convolution_by_name(net, x):
    ones, zeros = [1, 1], [0, 0]
    flags = (False, False, True, True)
    return net.b(aten._convolution(x, net.a, None, ones, ones, ones, False, zeros, 1, *flags))


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "norm": nn.BatchNorm2d(8), "b": conv(8, 4)},
    free={"a": 8},
)
def batch_norms_by_name(net, x):
    y, norm = net.a(x), net.norm
    scale = (norm.weight, norm.bias)
    known = (norm.running_mean.clone(), norm.running_var.clone())
    y = aten._native_batch_norm_legit_no_training(y, *scale, *known, 0.1, 1e-5)[0]
    y = aten._native_batch_norm_legit(y, *scale, *known, False, 0.1, 1e-5)[0]
    y = aten._batch_norm_no_update(y, *scale, *known, 0.1, 1e-5)[0]
    y = aten._batch_norm_with_update(y, *scale, *known, 0.1, 1e-5)[0]
    return net.b(y)


@case(
    SEQUENCES,
    lambda: {
        "q": linear(6, 12),
        "k": linear(6, 12),
        "v": linear(6, 12),
        "o": linear(12, 4),
        "heads": 3,
    },
    free={"q": 3},
    kept={"q#2": "the scale of the scores follows the width"},
)
def attention_by_name(net, x):
    b, n, _ = x.shape
    q, k, v = (f(x).view(b, n, net.heads, -1).transpose(1, 2) for f in (net.q, net.k, net.v))
    y = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)[0]
    return net.o(y.transpose(1, 2).flatten(2))


@case(ROWS, lambda: {"a": linear(6, 8)}, free={"a": 8})
def norms_by_name(net, x):
    return aten.norm(net.a(x), 2, [1]), aten.norm(net.a(x))


@case(ROWS, lambda: {"a": linear(6, 8)}, kept={"a": "reduces over the units"})
def variance_and_mean(net, x):
    return torch.var_mean(net.a(x), 1)[1] + torch.std_mean(net.a(x), 1)[1]


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "random"})
def random_by_name(net, x):
    y = net.a(x)
    z = torch.rand_like(y) + torch.empty_like(y).normal_() + torch.empty_like(y).uniform_()
    return net.b(aten.native_dropout(y + z, 0.5, True)[0] + torch.bernoulli(y.sigmoid()))


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def indices_of_tokens(net, x):
    n = x.shape[1]
    y = net.a(x)
    lower, upper = torch.tril_indices(n, n), torch.triu_indices(n, n)
    far = y[:, lower[0]] + y[:, upper[1]]
    return net.b(y[:, torch.randperm(n)] * 0 + y), net.b(far.mean(1)), torch.ones(n, n).triu()


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "as a number"})
def strided_constants(net, x):
    y = net.a(x)
    one = torch.empty_strided(y.shape, y.stride()).fill_(1)
    return net.b(y + one + y.new_empty_strided(y.shape, y.stride()).zero_())


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "depends on the values"})
def by_value(net, x):
    """How many there are is not known before the run: the tensors must be real."""
    y = net.a(x)
    found = (y > 0).nonzero(), y.flatten().unique(), torch.unique(y, dim=1)
    return net.b(y), [places.numel() for places in found]
