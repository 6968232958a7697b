"""Where a removed unit does not stay zero, and what writes or picks by index."""

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
