import pytest
import torch
from torch import nn
from torch.nn import functional

from prunus import units
from prunus.criteria import RIA, scores
from prunus.errors import CriterionError
from prunus.signals import collect
from prunus.trace import trace


def scored(model, inputs, criterion, granularity="weight"):
    groups = units.groups(trace(model, inputs), granularity)
    groups = {name: group for name, group in groups.items() if group.name != "0.in"}
    signals = collect(model, groups, [criterion], data=[(inputs, None)])
    found = scores(criterion, groups, signals)
    return {name: found[name] for name in groups}


def by_formula(weight_OI, inputs_NI, a=0.5):
    size_OI = weight_OI.detach().abs()
    relative_OI = size_OI / size_OI.sum(dim=0) + size_OI / size_OI.sum(dim=1, keepdim=True)
    return relative_OI * (inputs_NI.norm(dim=0) / len(inputs_NI) ** 0.5) ** a


@pytest.mark.parametrize("a", [0, 0.5, 1])
def test_a_linear_layer(a):
    model, inputs = nn.Sequential(nn.Linear(5, 3)), torch.randn(20, 5)
    expected = by_formula(model[0].weight, inputs, a)
    torch.testing.assert_close(scored(model, inputs, RIA(a=a))["0.weight"], expected.flatten())


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution(groups):
    layer, inputs = nn.Conv2d(4, 8, 3, padding=1, groups=groups), torch.randn(6, 4, 7, 7)
    columns = functional.unfold(inputs, 3, padding=1).movedim(1, 2).flatten(0, 1)
    pairs = zip(layer.weight.flatten(1).chunk(groups), columns.chunk(groups, dim=1), strict=True)
    expected = torch.cat([by_formula(weight, read) for weight, read in pairs])
    found = scored(nn.Sequential(layer), inputs, RIA())["0.weight"]
    torch.testing.assert_close(found, expected.flatten())


def test_a_channel_sums_what_its_readers_score():
    model, inputs = nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 2)), torch.randn(20, 5)
    expected = by_formula(model[2].weight, model[:2](inputs).detach()).sum(dim=0)
    torch.testing.assert_close(scored(model, inputs, RIA(), "channel")["0"], expected)


def test_weights_that_are_all_zero_score_zero():
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].weight.data.zero_()
    assert scored(model, torch.randn(4, 2), RIA())["0.weight"].tolist() == [0, 0, 0, 0]


def test_a_negative_power():
    with pytest.raises(CriterionError, match=r"RIA\(a=-1\) favours small inputs"):
        RIA(a=-1)
