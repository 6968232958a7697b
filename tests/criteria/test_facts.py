"""Facts about criteria that any sound implementation shows, on digits and without recovery."""

import functools
from statistics import mean

import pytest
import torch
from torch import nn

import prunus
from prunus.criteria import LAMP, Magnitude, Normalized
from prunus.data import Batches
from prunus.data.digits import digits
from prunus.networks import mlp
from prunus.train import Recipe, fit

SEEDS = (0, 1)
LOSS = nn.CrossEntropyLoss()


@functools.cache
def trained(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model, data = mlp(), Batches(digits().train, batch_size=64, shuffle=True, seed=seed)
    fit(model, data, loss=LOSS, recipe=Recipe(epochs=8), seed=seed)
    return model


def accuracy(model: nn.Module) -> float:
    inputs, targets = digits().test
    with torch.no_grad():
        return (model.eval()(inputs).argmax(dim=1) == targets).float().mean().item()


def pruned(criterion, *, granularity: str = "weight", seed: int = 0, **budget) -> nn.Module:
    return prunus.prune(
        trained(seed),
        digits().train.inputs[:2],
        budget=prunus.Budget(**budget),
        criterion=criterion,
        granularity=granularity,
        allocation="global" if granularity == "weight" else "uniform",
        data=Batches(digits().train, batch_size=64),
        loss=LOSS,
    ).model


def left(criterion, **settings) -> float:
    """Return the mean accuracy over the seeds that pruning leaves."""
    return mean(accuracy(pruned(criterion, seed=seed, **settings)) for seed in SEEDS)


def test_the_dense_networks_are_good():
    assert min(accuracy(trained(seed)) for seed in SEEDS) > 0.95


@pytest.mark.parametrize(
    "settings",
    [{"granularity": "weight", "sparsity": 0.7}, {"granularity": "channel", "units": 0.5}],
)
def test_magnitude_beats_random(settings):
    assert left("magnitude", **settings) > left("random", **settings) + 0.15


def test_the_gradient_alone_is_worse_than_gradient_times_weight():
    assert left("taylor", sparsity=0.9) > left("gradient", sparsity=0.9) + 0.2


@pytest.mark.parametrize("criterion", ["taylor", "fisher", "hessian"])
def test_what_looks_at_the_loss_beats_random(criterion):
    assert left(criterion, sparsity=0.7) > left("random", sparsity=0.7) + 0.3


def collapsing() -> nn.Sequential:
    """A trained network whose layers were rescaled without changing what it computes."""
    dense = trained(0)
    model = mlp()
    model.load_state_dict(dense.state_dict())
    with torch.no_grad():
        model[1].weight *= 1e-2
        model[1].bias *= 1e-2
        model[3].weight *= 1e2
    return model


def kept_per_layer(criterion, **budget) -> list[float]:
    plan = prunus.prune(
        collapsing(), digits().test.inputs[:2], budget=prunus.Budget(**budget),
        criterion=criterion, granularity="weight", allocation="global",
    ).plan  # fmt: skip
    return [kept.count / kept.size for kept in plan.kept.values()]


def test_rescaling_changes_nothing_that_the_network_computes():
    assert accuracy(collapsing()) == pytest.approx(accuracy(trained(0)), abs=0.002)


def test_plain_global_magnitude_collapses_a_layer():
    assert min(kept_per_layer(Magnitude(), sparsity=0.8)) < 0.001


@pytest.mark.parametrize("criterion", [LAMP(), Normalized(), Normalized(by="max")])
def test_scores_that_know_their_layer_do_not(criterion):
    assert min(kept_per_layer(criterion, sparsity=0.8)) > 0.05


def test_nor_does_magnitude_with_a_floor():
    assert min(kept_per_layer(Magnitude(), sparsity=0.8, min_units=200)) >= 200 / 4096


def test_lamp_keeps_the_network_alive_where_magnitude_kills_it():
    def after(criterion) -> nn.Module:
        return prunus.prune(
            collapsing(), digits().test.inputs[:2], budget=prunus.Budget(sparsity=0.8),
            criterion=criterion, granularity="weight", allocation="global",
        ).model  # fmt: skip

    assert accuracy(after(LAMP())) > accuracy(after(Magnitude())) + 0.5
