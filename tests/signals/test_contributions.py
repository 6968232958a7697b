"""Dot products of contributions against outputs computed without units."""

import pytest
import torch
from torch import nn

from prunus import units
from prunus.errors import CriterionError
from prunus.signals import CONTRIBUTION, collect
from prunus.trace import trace


class Reads:
    needs = frozenset({CONTRIBUTION})


def rows(model, *batches, group):
    groups = {group: units.groups(trace(model, batches[0]), "channel")[group]}
    data = [(batch, None) for batch in batches]
    return collect(model, groups, [Reads()], data=data).values[CONTRIBUTION][group]


LAYERS = {
    "linear": lambda: (nn.Linear(6, 4), torch.randn(20, 6)),
    "tokens": lambda: (nn.Linear(6, 4), torch.randn(3, 7, 6)),
    "convolution": lambda: (nn.Conv2d(6, 4, 3, padding=1), torch.randn(3, 6, 5, 5)),
    "strided": lambda: (nn.Conv2d(6, 4, (3, 2), stride=2, dilation=2), torch.randn(3, 6, 9, 9)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_removed_units_leave_what_their_rows_say(kind):
    reader, inputs = LAYERS[kind]()
    first = nn.Linear(6, 6) if inputs.dim() < 4 else nn.Conv2d(6, 6, 1)
    model = nn.Sequential(first, nn.ReLU(), reader).double()
    inputs = inputs.double()
    row_UF = rows(model, inputs[:2], inputs[2:], group="0")
    dim = 1 if inputs.dim() == 4 else -1
    for removed in ([0], [1, 4], [0, 2, 3, 5]):
        hidden = model[:2](inputs)
        without = hidden.index_fill(dim, torch.tensor(removed), 0.0)
        error = (reader(hidden) - reader(without)).square().sum()
        torch.testing.assert_close(row_UF[removed].sum(dim=0).square().sum(), error.detach())


def test_a_flattened_map():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 3)).double()
    inputs = torch.randn(6, 1, 4, 4).double()
    row_UF = rows(model, inputs, group="0")
    hidden = model[0](inputs)
    without = hidden.index_fill(1, torch.tensor([1, 2]), 0.0)
    error = (model[1:](hidden) - model[1:](without)).square().sum()
    torch.testing.assert_close(row_UF[1:3].sum(dim=0).square().sum(), error.detach())


def test_a_grouped_convolution_sums_its_groups():
    model = nn.Sequential(
        nn.Conv2d(2, 6, 1), nn.Conv2d(6, 4, 3, groups=2), nn.Conv2d(4, 1, 1)
    ).double()
    inputs = torch.randn(3, 2, 5, 5).double()
    row_UF = rows(model, inputs, group="0#2")
    hidden = model[0](inputs)
    without = hidden.index_fill(1, torch.tensor([0, 3]), 0.0)  # the first of each group
    error = (model[1](hidden) - model[1](without)).square().sum()
    torch.testing.assert_close(row_UF[0].square().sum(), error.detach())


@pytest.mark.parametrize(
    ("model", "shape", "group", "words"),
    [
        (
            nn.Sequential(nn.Conv2d(1, 4, 1), nn.ConvTranspose2d(4, 2, 2)),
            (1, 1, 4, 4),
            "0",
            r"what '1.weight' makes of the units of '0' is not known",
        ),
        (nn.Sequential(nn.Linear(3, 4)), (1, 3), "0", "no weight reads the units of '0'"),
    ],
)
def test_what_has_no_next_layer(model, shape, group, words):
    with pytest.raises(CriterionError, match=words):
        rows(model, torch.randn(shape), group=group)
