"""How much worse a model is under a plan."""

import pytest
import torch
from torch import Tensor, nn

import prunus
from prunus import networks
from prunus.damage import Damage
from prunus.errors import DataError
from prunus.records import Kept, Plan


def line(*weight: float) -> nn.Linear:
    layer = nn.Linear(len(weight), 1, bias=False)
    layer.weight.data = torch.tensor([weight])
    return layer


def without(index: int, size: int) -> Plan:
    return Plan("weight", {"weight": Kept.of(torch.arange(size) != index)}, {})


ONES = [(torch.ones(1, 2), torch.zeros(1, 1)), (2 * torch.ones(3, 2), torch.zeros(3, 1))]


def test_without_a_loss_it_is_how_far_the_outputs_move() -> None:
    damage = Damage(line(3.0, 1.0), ONES)
    assert damage(without(0, 2)) == pytest.approx((3 / 4) ** 2)
    assert damage(Plan("weight", {}, {})) == 0


def test_with_a_loss_it_is_how_much_that_rises() -> None:
    damage = Damage(line(3.0, -1.0), ONES, loss=nn.functional.mse_loss)
    assert damage(without(1, 2)) == (9 - 4) / 2 + (36 - 16) / 2
    assert damage(without(0, 2)) < 0  # -1 is nearer to zero than 3 - 1


def test_as_many_batches_as_asked_for() -> None:
    damage = Damage(line(3.0, -1.0), ONES, loss=nn.functional.mse_loss, batches=1)
    assert damage(without(1, 2)) == 9 - 4


def test_the_model_and_the_random_state_are_as_before() -> None:
    model, state = nn.Sequential(line(3.0, 1.0), nn.Dropout()), torch.get_rng_state()
    before = model[0].weight.clone()
    plan = Plan("weight", {"0.weight": Kept.of(torch.tensor([True, False]))}, {})
    Damage(model, ONES)(plan)
    assert torch.equal(model[0].weight, before) and model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_no_data_is_an_error() -> None:
    with pytest.raises(DataError, match="no batch"):
        Damage(line(1.0), [])


def test_prune_measures_where_the_allocation_asks_for_it() -> None:
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, targets)

    data = [(torch.randn(16, 1, 8, 8), torch.randint(10, (16,)))]
    pruned = prunus.prune(
        networks.mlp(),
        data[0][0],
        budget=prunus.Budget(macs=0.5),
        allocation="sensitivity",
        data=data,
        loss=loss,
    )
    assert pruned.report.after.macs <= 0.5 * pruned.report.before.macs


@pytest.mark.parametrize("allocation", ["erk", "unif_plus", "isomorphic", "lamp", "knapsack"])
@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_prune_knows_the_layers(allocation: str, granularity: str) -> None:
    pruned = prunus.prune(
        networks.lenet(),
        torch.randn(2, 1, 8, 8),
        budget=prunus.Budget(params=0.5),
        allocation=allocation,
        granularity=granularity,
    )
    after = pruned.report.after
    left = after.nonzero if granularity == "weight" else after.params
    assert left <= 0.5 * pruned.report.before.params
    if allocation == "unif_plus":
        first = "conv1.weight" if granularity == "weight" else "conv1"
        assert pruned.plan.counts.get(first) in (None, 6, 150)
