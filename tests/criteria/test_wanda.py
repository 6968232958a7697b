import pytest
import torch
from torch import nn
from torch.nn import functional

import prunus
from prunus import units
from prunus.criteria import Wanda, scores
from prunus.signals import INPUT_SQUARE, OUTPUT, WEIGHT, collect, group_of
from prunus.trace import trace


def scored(model, inputs, criterion, granularity="weight"):
    groups = units.groups(trace(model, inputs), granularity)
    groups = {name: group for name, group in groups.items() if group.name != "0.in"}
    signals = collect(model, groups, [criterion], data=[(inputs, None)])
    found = scores(criterion, groups, signals)
    return {name: found[name] for name in groups}


def in_a_double_loop(weight_OI, inputs_NI):
    """|w| times the norm of its input, as the paper has it, but for the number of inputs."""
    score_OI = torch.zeros_like(weight_OI)
    for output in range(weight_OI.shape[0]):
        for i in range(weight_OI.shape[1]):
            norm = inputs_NI[:, i].norm() / len(inputs_NI) ** 0.5
            score_OI[output, i] = weight_OI[output, i].abs() * norm
    return score_OI


def test_a_linear_layer_against_a_double_loop():
    model, inputs = nn.Sequential(nn.Linear(5, 3)), torch.randn(20, 5)
    expected = in_a_double_loop(model[0].weight.detach(), inputs)
    torch.testing.assert_close(
        scored(model, inputs, Wanda(rows=False))["0.weight"], expected.flatten()
    )
    places = scored(model, inputs, Wanda())["0.weight"].view(3, 5)
    assert torch.equal(places.argsort(dim=1), expected.argsort(dim=1))
    assert torch.equal(places.sort(dim=1).values, torch.arange(1, 6).div(5).expand(3, 5))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_convolution_against_a_double_loop(groups):
    layer, inputs = nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=groups), torch.randn(6, 4, 7, 7)
    found = scored(nn.Sequential(layer), inputs, Wanda(rows=False))["0.weight"]
    columns = functional.unfold(inputs, 3, padding=1, stride=2).movedim(1, 2).flatten(0, 1)
    expected = [
        in_a_double_loop(weight, read)
        for weight, read in zip(
            layer.weight.detach().flatten(1).chunk(groups),
            columns.chunk(groups, dim=1),
            strict=True,
        )
    ]
    torch.testing.assert_close(found, torch.cat(expected).flatten())


@pytest.mark.parametrize("allocation", ["uniform", "global"])
def test_every_output_of_every_layer_loses_the_same_share(allocation):
    model = nn.Sequential(nn.Linear(8, 4, bias=False), nn.ReLU(), nn.Linear(4, 6, bias=False))
    inputs = torch.randn(20, 8) * torch.logspace(0, 2, 8)
    pruned = prunus.prune(
        model, inputs[:1], budget=prunus.Budget(sparsity=0.5), granularity="weight",
        criterion="wanda", allocation=allocation, data=[(inputs, None)],
    )  # fmt: skip
    assert (pruned.model[0].weight != 0).sum(dim=1).tolist() == [4] * 4
    assert (pruned.model[2].weight != 0).sum(dim=1).tolist() == [2] * 6


def test_outputs_along_dim_1():
    """A weight (inputs, outputs): a row of the paper is a column of the tensor."""

    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(5, 3))

        def forward(self, x):
            return x @ self.weight

    model, inputs = Product(), torch.randn(20, 5)
    places_IO = scored(model, inputs, Wanda())["weight"].view(5, 3)
    expected_OI = in_a_double_loop(model.weight.detach().T, inputs)
    assert torch.equal(places_IO.argsort(dim=0), expected_OI.T.argsort(dim=0))


def test_a_channel_sums_what_its_readers_score():
    model, inputs = nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 2)), torch.randn(20, 5)
    hidden = model[:2](inputs).detach()
    expected = in_a_double_loop(model[2].weight.detach(), hidden).sum(dim=0)
    torch.testing.assert_close(scored(model, inputs, Wanda(), "channel")["0"], expected)


def test_equal_weights_of_a_row_go_one_by_one():
    values = {WEIGHT: torch.ones(4, 1), INPUT_SQUARE: torch.ones(4, 1), OUTPUT: torch.zeros(4, 1)}
    score_U = Wanda()(group_of("fc.weight", values, granularity="weight"))
    assert score_U.tolist() == [0.25, 0.5, 0.75, 1.0]


def test_a_large_input_saves_a_small_weight():
    model, inputs = nn.Sequential(nn.Linear(2, 1)), torch.tensor([[1.0, 100.0]])
    model[0].weight.data = torch.tensor([[1.0, 0.1]])
    assert scored(model, inputs, Wanda())["0.weight"].tolist() == [0.5, 1.0]
