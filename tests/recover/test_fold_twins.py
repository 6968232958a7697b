"""Removed units whose work a kept one goes on doing."""

import copy

import pytest
import torch
from torch import nn

import prunus
from prunus.criteria import Magnitude
from prunus.errors import DataError, PlanError
from prunus.extents import Leaf
from prunus.records import Kept
from prunus.recover import fold_twins

ROWS = torch.randn(64, 4, dtype=torch.float64)
IMAGES = torch.randn(8, 3, 9, 9, dtype=torch.float64)
HALF = prunus.Budget(units=0.5)
FIRST = Magnitude(reduction="first")  # so that one of each pair stays


def twice(layer, *, factor):
    """Make the second half of a layer's outputs multiples of the first."""
    with torch.no_grad():
        for parameter in layer.parameters():
            half = len(parameter) // 2
            parameter[half:] = factor * parameter[:half]


def rows_network():
    net = nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 3))
    twice(net[0], factor=0.01)
    return net.double()


def image_network():
    net = nn.Sequential(
        nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(12, 5, (3, 2), stride=2, padding=1), nn.Flatten(), nn.LazyLinear(2),
    )  # fmt: skip
    net(IMAGES[:1].float())
    net[0].bias.data.zero_()
    twice(net[0], factor=0.01)
    twice(net[1], factor=0.3)
    return net.double().eval()


@pytest.mark.parametrize(
    ("build", "inputs", "exclude"),
    [(rows_network, ROWS, []), (image_network, IMAGES, ["4"])],
    ids=["rows", "images"],
)
def test_duplicates_are_lost_without_a_trace(build, inputs, exclude):
    dense = build()
    with torch.no_grad():
        for bn in (m for m in dense.modules() if isinstance(m, nn.BatchNorm2d)):
            bn.eps = 1e-12  # so that a scaled twin is one behind the norm, too
            bn.train().momentum = 1.0
            dense(inputs)
            bn.eval()
    pruned = prunus.prune(dense, inputs[:1], budget=HALF, exclude=exclude, criterion=FIRST)
    assert not torch.allclose(pruned.model(inputs), dense(inputs))
    assert fold_twins(pruned.model, [inputs], dense=dense, plan=pruned.plan) == 1
    torch.testing.assert_close(pruned.model(inputs), dense(inputs), rtol=1e-6, atol=1e-7)


def cut_by_hand():
    """Three units give (1, 1), (0, 1) and (1, 2) at two places; the third is removed."""
    dense = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 1, bias=False))
    with torch.no_grad():
        dense[0].weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 1.0], [1.0, 2.0]]))
        dense[1].weight.copy_(torch.tensor([[1.0, 5.0, 10.0]]))
    kept = {"0": Kept.of(torch.tensor([True, True, False]))}
    shapes = {"0.weight": (Leaf(3, "0"), Leaf(2)), "1.weight": (Leaf(1), Leaf(3, "0"))}
    plan = prunus.Plan("channel", kept, shapes)
    return dense, prunus.shrink(dense, plan), plan


def test_by_hand():
    """3² / 2 of its energy is that of the first, 2² / 1 that of the second; f = 3 / 2."""
    dense, model, plan = cut_by_hand()
    fold_twins(model, [torch.eye(2)], dense=dense, plan=plan)
    torch.testing.assert_close(model[1].weight, torch.tensor([[1 + 1.5 * 10, 5.0]]))


def test_units_that_give_nothing_are_no_twins():
    dense, model, plan = cut_by_hand()
    fold_twins(model, [torch.zeros(1, 2)], dense=dense, plan=plan)
    torch.testing.assert_close(model[1].weight, torch.tensor([[1.0, 5.0]]))


def test_the_dense_model_and_the_first_layer_stay():
    dense, model, plan = cut_by_hand()
    before = copy.deepcopy(dense.state_dict()), model[0].weight.clone()
    fold_twins(model, [torch.eye(2)], dense=dense, plan=plan)
    assert all(map(torch.equal, before[0].values(), dense.state_dict().values()))
    assert torch.equal(before[1], model[0].weight)


def test_what_cannot_be_folded_is_refused():
    dense, model, plan = cut_by_hand()
    with pytest.raises(DataError, match="batches=0 reads no batch"):
        fold_twins(model, [torch.eye(2)], dense=dense, plan=plan, batches=0)
    with pytest.raises(DataError, match="NaN"):
        fold_twins(model, [torch.full((1, 2), torch.nan)], dense=dense, plan=plan)
    zeroed = prunus.prune(dense, torch.eye(2), budget=HALF, granularity="weight")
    with pytest.raises(PlanError, match="single weights were zeroed, and no unit was removed"):
        fold_twins(zeroed.model, [torch.eye(2)], dense=dense, plan=zeroed.plan)
