"""The mean of what was removed, in the bias."""

import pytest
import torch
from torch import nn

import prunus
from prunus.errors import DataError, PlanError
from prunus.extents import Leaf
from prunus.records import Kept
from prunus.recover import compensate_bias

ROWS = torch.randn(200, 6) + 1
HALF = prunus.Budget(units=0.5)


def network():
    return nn.Sequential(nn.Linear(6, 12), nn.Sigmoid(), nn.Linear(12, 3)).double()


def images():
    return nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=1, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(54, 3),
    ).double()  # fmt: skip


def compensated(dense, inputs, **settings):
    settings = {"budget": HALF, **settings}
    pruned = prunus.prune(dense, inputs[:2], **settings)
    number = compensate_bias(pruned.model, [inputs], dense=dense, plan=pruned.plan)
    return pruned, number


def test_the_formula():
    dense, rows = network(), ROWS.double()
    cut = prunus.prune(dense, rows[:2], budget=HALF)
    pruned, number = compensated(dense, rows)
    removed = ~cut.plan.kept["0"].mask()
    mean = dense[:2](rows).mean(0)
    wanted = dense[2].bias + dense[2].weight[:, removed] @ mean[removed]
    assert number == 1
    torch.testing.assert_close(pruned.model[2].bias, wanted)
    assert torch.equal(pruned.model[2].weight, cut.model[2].weight)


def test_by_hand():
    """Units give 2 and 10 on average; the second, read with weights 3 and -1, is removed."""
    dense = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        dense[0].weight.copy_(torch.tensor([[1.0], [0.0]]))
        dense[0].bias.copy_(torch.tensor([0.0, 10.0]))
        dense[2].weight.copy_(torch.tensor([[1.0, 3.0], [0.5, -1.0]]))
        dense[2].bias.copy_(torch.tensor([0.25, 0.0]))
    plan = prunus.Plan("channel", {"0": Kept.of(torch.tensor([True, False]))}, {
        "0.weight": (Leaf(2, "0"), Leaf(1)),
        "0.bias": (Leaf(2, "0"),),
        "2.weight": (Leaf(2), Leaf(2, "0")),
    })  # fmt: skip
    model = prunus.shrink(dense, plan)
    assert compensate_bias(model, [torch.tensor([[1.0], [3.0]])], dense=dense, plan=plan) == 1
    assert model[2].bias.tolist() == [0.25 + 3 * 10, -1 * 10]


def test_the_mean_of_a_convolution_is_that_of_the_dense_one():
    dense, inputs = images(), torch.rand(16, 2, 8, 8).double()
    pruned, number = compensated(dense, inputs, include=["0"])
    assert number == 1
    found = pruned.model[:3](inputs).mean((0, 2, 3))
    torch.testing.assert_close(found, dense[:3](inputs).mean((0, 2, 3)))


def test_units_that_do_not_vary_cost_nothing():
    dense, rows = network(), ROWS.double()
    dense[0].weight.data[:6] = 0
    dense[0].weight.data[6:] += 3
    pruned, _ = compensated(dense, rows)
    assert not pruned.plan.kept["0"].mask()[:6].any()
    torch.testing.assert_close(pruned.model(rows), dense(rows))


def test_closer_in_the_output():
    dense, rows = network(), ROWS.double()
    cut = prunus.prune(dense, rows[:2], budget=HALF).model
    pruned, _ = compensated(dense, rows)
    with torch.no_grad():
        lost, left = ((m(rows) - dense(rows)).square().mean() for m in (cut, pruned.model))
    assert left < 0.5 * lost


@pytest.mark.parametrize("groups", [1, 2])
def test_zeroed_weights(groups):
    dense = nn.Sequential(nn.Conv2d(4, 8, 3, groups=groups)).double()
    inputs = torch.rand(8, 4, 6, 6).double()
    pruned, number = compensated(dense, inputs, granularity="weight")
    assert number == 1
    torch.testing.assert_close(pruned.model(inputs).mean((0, 2, 3)), dense(inputs).mean((0, 2, 3)))


def test_layers_without_bias_stay_and_no_data_are_read():
    dense = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3, bias=False))
    pruned = prunus.prune(dense, ROWS[:2], budget=HALF)
    assert compensate_bias(pruned.model, [], dense=dense, plan=pruned.plan) == 0


def test_a_plan_of_another_model():
    pruned = prunus.prune(network(), ROWS[:2].double(), budget=HALF)
    other = prunus.prune(network(), ROWS[:2].double(), budget=prunus.Budget(units=0.25))
    with pytest.raises(PlanError, match="the plan does not fit these models: '2' has"):
        compensate_bias(pruned.model, [ROWS], dense=network(), plan=other.plan)
    with pytest.raises(DataError, match="reads no batch"):
        compensate_bias(pruned.model, [], dense=network(), plan=pruned.plan, batches=0)


def test_behind_several_cuts_the_mean_of_the_output_is_the_dense_one():
    dense = nn.Sequential(
        nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 3)
    ).double()
    rows = ROWS.double()
    pruned, number = compensated(dense, rows, budget=prunus.Budget(units=0.3))
    assert number == 2
    torch.testing.assert_close(pruned.model(rows).mean(0), dense(rows).mean(0))


def test_after_an_error_all_is_as_before():
    dense, rows = network(), ROWS.double()
    pruned = prunus.prune(dense, rows[:2], budget=HALF)
    before = pruned.model[2].bias.clone()
    with pytest.raises(DataError, match="already read to its end"):
        compensate_bias(pruned.model, iter([rows]), dense=dense, plan=pruned.plan)
    assert torch.equal(pruned.model[2].bias, before)
