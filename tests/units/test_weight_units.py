"""Single weights: which tensors they are of."""

import pytest
import torch
import torch.nn.functional as F
from models import Net, conv, linear, weight
from torch import nn

from prunus import trace, units

ROWS = torch.ones(2, 6)


def weights(model, inputs=ROWS):
    return units.groups(trace(model, inputs), "weight")


def test_every_matrix_is_a_group_of_its_numbers():
    groups = weights(nn.Sequential(linear(6, 8), nn.BatchNorm1d(8), linear(8, 4)))

    assert {name: group.size for name, group in groups.items()} == {"0.weight": 48, "2.weight": 32}
    assert all(group.exact and group.frozen_because is None for group in groups.values())
    assert groups["0.weight"].members[0].dim is None


@pytest.mark.parametrize(
    ("forward", "parts"),
    [
        (lambda net, x: x @ net.w, {"w": weight(6, 4)}),
        (lambda net, x: torch.einsum("bi,io->bo", x, net.w), {"w": weight(6, 4)}),
        (lambda net, x: F.linear(x, net.w), {"w": weight(4, 6)}),
        (lambda net, x: F.conv1d(x[None], net.w), {"w": weight(4, 2, 1)}),
    ],
)
def test_bare_parameters_count(forward, parts):
    assert list(weights(Net(forward, parts))) == ["w"]


def test_lookup_tables_and_scales_do_not():
    model = Net(
        lambda net, x: net.a(net.table(x) * net.scale + net.place),
        {
            "table": nn.Embedding(11, 8),
            "scale": weight(1, 8),
            "place": weight(5, 8),
            "a": linear(8, 4),
        },
    )
    assert list(weights(model, torch.ones(2, 5, dtype=torch.long))) == ["a.weight"]


def test_tied_weights_count_once():
    model = nn.Sequential(linear(6, 6), linear(6, 6))
    model[1].weight = model[0].weight

    assert list(weights(model)) == ["0.weight"]


def test_weights_that_do_not_run_are_left_whole():
    model = Net(lambda net, x: net.a(x), {"a": linear(6, 8), "aside": linear(8, 5)})

    assert list(weights(model)) == ["a.weight"]


def test_kernels_of_every_kind():
    model = nn.Sequential(
        conv(3, 4), conv(4, 4, groups=4), nn.ConvTranspose2d(4, 2, 2), nn.Flatten(), linear(98, 3)
    )
    groups = weights(model, torch.ones(1, 3, 6, 6))

    assert list(groups) == ["0.weight", "1.weight", "2.weight", "4.weight"]
