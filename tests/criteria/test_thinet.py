"""Against exhaustive search where one unit goes, and a greedy loop where more do."""

from itertools import combinations

import torch
from torch import nn

from prunus import units
from prunus.criteria import Thinet, scores
from prunus.signals import CONTRIBUTION, collect, group_of
from prunus.trace import trace


def network():
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)
    )
    return model.double(), torch.randn(5, 1, 8, 8).double()


def turns(model, inputs):
    """Return the units of the first layer in the order in which they go."""
    groups = {"0": units.groups(trace(model, inputs), "channel")["0"]}
    signals = collect(model, groups, [Thinet()], data=[(inputs, None)])
    return scores(Thinet(), groups, signals)["0"].argsort().tolist()


def error_without(model, inputs, removed):
    """How far the outputs of the next layer are off: computed, not predicted."""
    hidden = model[:2](inputs)
    without = hidden.index_fill(1, torch.tensor(removed), 0.0)
    return (model[2](hidden) - model[2](without)).square().sum().item()


def test_the_first_to_go_is_the_best_of_all():
    model, inputs = network()
    best = min(range(6), key=lambda unit: error_without(model, inputs, [unit]))
    assert turns(model, inputs)[0] == best


def test_the_turns_are_those_of_a_greedy_loop():
    model, inputs = network()
    removed = []
    for _ in range(6):
        left = [unit for unit in range(6) if unit not in removed]
        removed.append(min(left, key=lambda unit: error_without(model, inputs, [*removed, unit])))
    assert turns(model, inputs) == removed


def test_greedy_is_near_the_best_pair():
    model, inputs = network()
    best = min(error_without(model, inputs, pair) for pair in combinations(range(6), 2))
    assert error_without(model, inputs, turns(model, inputs)[:2]) <= 1.5 * best


def test_units_that_cancel_go_together():
    model, inputs = network()
    model[0].weight.data[3] = model[0].weight.data[1]
    model[0].bias.data[3] = model[0].bias.data[1]
    model[2].weight.data[:, 3] = -model[2].weight.data[:, 1]
    first = turns(model, inputs)
    assert abs(first.index(1) - first.index(3)) == 1


def test_scores_are_turns():
    row_UF = torch.tensor([[2.0], [1.0], [3.0], [5.0]])
    assert Thinet()(group_of("fc", {CONTRIBUTION: row_UF})).tolist() == [0.5, 0.25, 0.75, 1.0]
