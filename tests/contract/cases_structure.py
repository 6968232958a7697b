"""How a model is put together: shared modules, bare parameters, branches, assertions."""

import torch
from models import IMAGES, ROWS, SEQUENCES, SQUARES, case, conv, linear, weight
from torch import nn
from torch.nn import functional as F


@case(IMAGES, lambda: {"a": conv(3, 8), "b": conv(8, 8), "c": conv(8, 4)}, free={"a": 8})
def shared_module(net, x):
    """The same layer runs twice, so its inputs and outputs are one axis."""
    return net.c(net.b(net.b(net.a(x)).relu()))


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": linear(8, 6), "c": linear(6, 4)},
    free={"a": 8, "b": 6},
    kept={"a.in": "model input"},
)
def shared_by_two_paths(net, x):
    return net.c(net.b(net.a(x).relu()) + net.b(net.a(x + 1).relu()))


def _tied():
    one, other = linear(6, 8), linear(6, 8)
    other.weight = one.weight
    return {"a": one, "b": other, "c": linear(8, 4)}


@case(ROWS, _tied, free={"a": 8})
def tied_parameters(net, x):
    return net.c(net.a(x).relu() + net.b(x + 1).relu())


@case(
    IMAGES,
    lambda: {"kernel": weight(8, 3, 3, 3), "scale": weight(8, 1, 1), "b": weight(4, 8, 1, 1)},
    free={"kernel": 8},
)
def bare_parameters(net, x):
    return F.conv2d(F.conv2d(x, net.kernel).sigmoid() * net.scale, net.b)


@case(
    ROWS,
    lambda: {"layers": nn.ParameterList([weight(8, 6), weight(8, 8), weight(4, 8)])},
    free={"layers.0": 8, "layers.1": 8},
)
def parameters_in_a_list(net, x):
    one, two, three = net.layers
    return F.linear(F.linear(F.linear(x, one).relu(), two).relu(), three)


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": linear(6, 8), "both": weight(2, 8), "c": linear(8, 4)},
    free={"a": 8},
)
def a_scale_for_each_branch(net, x):
    return net.c(net.both[0] * net.a(x).sigmoid() + net.both[1] * net.b(x))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4), "width": 8}, free={"a": 8})
def asserted_sizes(net, x):
    y = net.a(x)
    assert y.shape[1] == net.width
    if y.shape[1] != net.b.in_features:
        raise ValueError("another size")
    return net.b(y)


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def in_inference_mode(net, x):
    """There PyTorch leaves composed operators whole."""
    with torch.inference_mode():
        y = F.linear(net.a(x), net.b.weight).reshape(-1, 4)
    return net.b(net.a(x)) + y.clone()


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def outputs_in_a_dict(net, x):
    return {"y": net.b(net.a(x)), "more": [x, (x.sum(), "text", None)]}


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": linear(8, 8), "c": linear(8, 4)},
    free={"b": 8},
    kept={"a": "model output"},
)
def hidden_outputs(net, x):
    y = net.a(x)
    return net.c(net.b(y)), y


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": linear(8, 4), "aside": linear(8, 5)},
    kept={"a": "'aside.weight' may read it", "aside": "no operator reads"},
)
def a_head_that_does_not_run(net, x):
    return net.b(net.a(x))


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "b": conv(8, 4), "aside": conv(8, 5)},
    free={"a": 8},
    kept={"aside": "model output"},
)
def a_head_of_the_training(net, x):
    y = net.a(x)
    return (net.b(y), net.aside(y)) if net.training else net.b(y)


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": linear(8, 4)},
    kept={"a": "prunus has no rule"},
)
def operator_without_a_rule(net, x):
    return net.b(torch.block_diag(net.a(x)))


@case(
    ROWS,
    lambda: {"a": linear(6, 8), "b": linear(6, 8), "c": linear(8, 4)},
    kept={"a": "index_add at cases_structure.py"},
)
def unknown_only_where_it_reaches(net, x):
    return net.c(net.a(x) * net.a(x).index_add(1, torch.tensor([0]), net.b(x)[:, :1]))


@case(ROWS, lambda: {"cell": nn.GRUCell(6, 8), "b": linear(8, 4)}, free={"cell.weight_ih": 8})
def recurrent_cell(net, x):
    return net.b(net.cell(x))


@case(
    SEQUENCES,
    lambda: {"a": nn.LSTM(6, 8, batch_first=True), "b": linear(8, 4)},
    free={"a.weight_ih_l0": 8},
)
def recurrent(net, x):
    return net.b(net.a(x)[0])


@case(
    SQUARES,
    lambda: {"a": conv(3, 4), "b": linear(144, 5), "c": linear(5, 4)},
    free={"a": 4, "b": 5},
)
def sizes_that_coincide(net, x):
    """The batch may have as many items as the layer has channels: only use tells them apart."""
    y = net.a(torch.cat([x, x])[:4])
    return net.c(net.b(y.reshape(y.shape[0], -1)))
