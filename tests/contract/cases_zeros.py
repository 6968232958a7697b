"""Where a removed unit does not stay zero, and what writes or picks by index."""

import warnings

import torch
from models import IMAGES, ROWS, SEQUENCES, VOLUMES, case, conv, linear
from torch import nn
from torch.nn import functional as F


@case(IMAGES, lambda: {"a": conv(3, 8)}, kept={"a": "reduces over the units"})
def padding_with_a_value(net, x):
    return F.pad(net.a(x), (1, 1), value=1.0).sum(1)


@case(IMAGES, lambda: {"a": conv(3, 8)}, kept={"a": "reduces over the units"})
def places_of_the_largest(net, x):
    return F.max_pool2d(net.a(x), 2, return_indices=True)[1].double().sum(1)


@case(ROWS, lambda: {"a": linear(6, 8)}, kept={"a": "no rule for this operator"})
def many_at_once_in_place(net, x):
    y = net.a(x).relu().detach()
    torch._foreach_add_([y], 1.0)
    return y.sum(1)


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def tokens_by_a_mask(net, x):
    return net.b(net.a(x)[x[..., 0] > 0])


@case(IMAGES, lambda: {"a": conv(3, 8), "b": linear(72, 4)}, free={"a": 8})
def columns(net, x):
    return net.b(F.unfold(net.a(x), 3, padding=1).transpose(1, 2))


@case(IMAGES, lambda: {"a": linear(3, 32), "b": conv(8, 4)}, free={"a": 8})
def columns_back(net, x):
    y = net.a(x.flatten(2).transpose(1, 2)).transpose(1, 2)
    height, width = x.shape[-2:]
    return net.b(F.fold(y, (2 * height, 2 * width), 2, stride=2))


@case(IMAGES, lambda: {"a": conv(3, 8), "b": conv(8, 4)}, free={"a": 8})
def sampled(net, x):
    return net.b(F.grid_sample(net.a(x), x[:, :2].permute(0, 2, 3, 1), align_corners=False))


@case(VOLUMES, lambda: {"a": nn.Conv3d(3, 8, 1), "b": nn.Conv3d(8, 4, 1)}, free={"a": 8})
def sampled3d(net, x):
    return net.b(F.grid_sample(net.a(x), x.permute(0, 2, 3, 4, 1), align_corners=False))


@case(ROWS, lambda: {"a": linear(6, 8)}, kept={"a": "reduces over the units"})
def written_to_a_given_tensor(net, x):
    """It gets its shape only then."""
    result = torch.empty(0, dtype=x.dtype)
    torch.add(net.a(x).detach(), 1, out=result)
    return result.sum(1)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "no rule"})
def sparse_numbers(net, x):
    y = net.a(x)
    return net.b(y.to_sparse().to_dense())


@case(SEQUENCES, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def neighbours_in_a_sparse_graph(net, x):
    edges = torch.tensor([[0, 1, 2], [1, 2, 0]])
    ones = torch.ones(3, dtype=x.dtype)
    graph = torch.sparse_coo_tensor(edges, ones, (x.shape[1],) * 2, check_invariants=True)
    return net.b(torch.stack([graph @ tokens for tokens in net.a(x)]))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "no rule"})
def nested_numbers(net, x):
    y = net.a(x)
    with warnings.catch_warnings(action="ignore"):  # they are a prototype
        nested = torch.nested.as_nested_tensor([y[:1], y[1:]])
    return net.b(nested.to_padded_tensor(0.0)[1])


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "inside it is not seen"})
def functions_as_arguments(net, x):
    y = net.a(x)
    return net.b(torch.ops.higher_order.cond(y.sum() > 0, torch.sin, torch.cos, (y,)))


@torch.library.custom_op("prunus_tests::relu", mutates_args=())
def cumulative_relu(x: torch.Tensor) -> torch.Tensor:
    """Bears the name of an operator of PyTorch, and does another thing."""
    return x.cumsum(1).relu()


cumulative_relu.register_fake(torch.empty_like)
cumulative_relu.register_autograd(lambda ctx, gradient: gradient)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": "no rule"})
def a_known_name_elsewhere(net, x):
    return net.b(cumulative_relu(net.a(x)))
