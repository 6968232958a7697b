"""Layers solved anew after a cut, against torch.linalg.lstsq."""

import pytest
import torch
from torch import nn

import prunus
from prunus.errors import DataError, PlanError
from prunus.recover import reconstruct

ROWS = torch.randn(200, 6, dtype=torch.float64)
HALF = prunus.Budget(units=0.5)


def network(*, bias=True):
    return nn.Sequential(
        nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 8, bias=bias), nn.Tanh(), nn.Linear(8, 3)
    ).double()


def pruned_of(dense, inputs, **settings):
    return prunus.prune(dense, inputs[:2], budget=HALF, **settings)


def solved(dense, inputs, *, damping=0.0, **settings):
    pruned = pruned_of(dense, inputs, **settings)
    pairs = [(batch, None) for batch in inputs.split(100)]
    number = reconstruct(pruned.model, pairs, dense=dense, plan=pruned.plan, damping=damping)
    return pruned, number


def lstsq(read_NK, target_NO, *, bias):
    ones = [read_NK.new_ones(len(read_NK), 1)] if bias else []
    return torch.linalg.lstsq(torch.cat([read_NK, *ones], 1), target_NO).solution.T


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_is_least_squares(bias):
    dense = network(bias=bias)
    pruned, number = solved(dense, ROWS, include=["0"])
    assert number == 1
    wanted = lstsq(pruned.model[:2](ROWS), dense[:3](ROWS), bias=bias)
    torch.testing.assert_close(pruned.model[2].weight, wanted[:, :6])
    if bias:
        torch.testing.assert_close(pruned.model[2].bias, wanted[:, 6])


def test_later_layers_are_solved_for_what_solved_ones_give():
    dense = network()
    pruned, number = solved(dense, ROWS)
    assert number == 2
    kept = pruned.plan.kept["2"].mask()
    wanted = lstsq(pruned.model[:2](ROWS), dense[:3](ROWS)[:, kept], bias=True)
    torch.testing.assert_close(pruned.model[2].weight, wanted[:, :6])
    wanted = lstsq(pruned.model[:4](ROWS), dense(ROWS), bias=True)
    torch.testing.assert_close(pruned.model[4].weight, wanted[:, :4])


def test_a_convolution_is_least_squares():
    dense = nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.Tanh(), nn.Conv2d(6, 4, (3, 2), stride=2, padding=1)
    ).double()
    images = torch.randn(200, 2, 6, 6, dtype=torch.float64)
    pruned, number = solved(dense, images)
    layer = pruned.model[2]
    windows = nn.functional.unfold(pruned.model[:2](images), (3, 2), stride=2, padding=1)
    target = dense(images).flatten(2)
    wanted = lstsq(windows.mT.flatten(0, 1), target.mT.flatten(0, 1), bias=True)
    assert number == 1
    torch.testing.assert_close(layer.weight.flatten(1), wanted[:, :-1])
    torch.testing.assert_close(layer.bias, wanted[:, -1])


def test_a_copy_of_a_unit_is_made_up_for_exactly():
    dense = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    dense[0].bias.data.zero_()
    rows = nn.functional.normalize(dense[0].weight.data[:4])
    dense[0].weight.data.copy_(torch.cat([rows, rows]))
    dense[2].weight.data[:, 4:] *= 0.01
    pruned, _ = solved(dense, ROWS)
    assert pruned.plan.kept["0"].mask()[:4].all()
    torch.testing.assert_close(pruned.model(ROWS), dense(ROWS))


def test_damping_holds_the_weights_where_they_are():
    dense = network()
    cut = pruned_of(dense, ROWS).model[2].weight
    moved = [
        float((solved(dense, ROWS, damping=damping)[0].model[2].weight - cut).detach().norm())
        for damping in (0.0, 0.1, 1e6)
    ]
    assert moved[0] > moved[1] > moved[2]
    assert moved[2] < 1e-4


def test_closer_than_the_cut_alone():
    dense = network()
    cut, (pruned, _) = pruned_of(dense, ROWS), solved(dense, ROWS, damping=1e-3)
    with torch.no_grad():
        lost, left = ((m(ROWS) - dense(ROWS)).square().mean() for m in (cut.model, pruned.model))
    assert left < 0.5 * lost


def test_inputs_that_are_always_alike():
    dense = network()
    dense[0].weight.data.zero_()
    with pytest.raises(DataError, match="do not tell the inputs of '2' apart"):
        solved(dense, ROWS)
    assert solved(dense, ROWS, damping=1e-3)[1] == 2


def test_after_an_error_all_is_as_before():
    dense = network()
    pruned = pruned_of(dense, ROWS)
    before = {name: value.clone() for name, value in pruned.model.state_dict().items()}
    with pytest.raises(DataError, match="already read to its end"):
        reconstruct(pruned.model, iter([ROWS]), dense=dense, plan=pruned.plan)
    assert all(torch.equal(before[n], value) for n, value in pruned.model.state_dict().items())


def test_single_weights_have_nothing_to_solve():
    dense = network()
    pruned = pruned_of(dense, ROWS, granularity="weight")
    with pytest.raises(PlanError, match="single weights were zeroed"):
        reconstruct(pruned.model, [ROWS], dense=dense, plan=pruned.plan)
    with pytest.raises(DataError, match="reads no batch"):
        reconstruct(pruned.model, [ROWS], dense=dense, plan=pruned.plan, batches=0)


def test_flags_are_given_back():
    dense = network().train()
    pruned = pruned_of(dense, ROWS)
    pruned.model.train()
    reconstruct(pruned.model, [ROWS], dense=dense, plan=pruned.plan)
    assert dense.training and pruned.model.training
