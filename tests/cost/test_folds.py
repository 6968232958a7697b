"""Layers in a row become one: which, and that it computes and costs what is said."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from prunus.cost.folds import FoldedCosts, Layer, folds, joined
from prunus.cost.model import CostModel
from prunus.links import Window
from prunus.shrink.lines import folded
from prunus.trace import trace
from prunus.trace.links import window_of
from prunus.units.activation import groups


def layer(module: Any) -> Layer:
    window = window_of(module)
    assert window is not None
    return Layer(module.weight.shape[1] * window.groups, module.weight.shape[0], window)


def macs(convolution: Any, output: torch.Tensor) -> int:
    return int(convolution.weight[0].numel() * output.numel())


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_convolutions_without_padding_inside_are_one(dims):
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    one, other = kind(3, 6, 3, stride=2, padding=1), kind(6, 4, 2)
    x = torch.randn(2, 3, *[9] * dims)
    whole = folded([one, other])
    assert whole.kernel_size == (5,) * dims
    torch.testing.assert_close(whole(x), other(one(x)), rtol=1e-4, atol=1e-5)


def test_linear_layers_are_one():
    one, other, third = nn.Linear(4, 8, bias=False), nn.Linear(8, 5), nn.Linear(5, 3)
    x = torch.randn(2, 7, 4)
    whole = folded([one, other, third])
    torch.testing.assert_close(whole(x), third(other(one(x))), rtol=1e-4, atol=1e-5)


sizes = st.integers(1, 3)


@settings(max_examples=60, deadline=None)
@given(
    channels=st.tuples(sizes, sizes, sizes), kernels=st.tuples(sizes, sizes), strides=st.tuples(
        sizes, sizes), dilations=st.tuples(sizes, sizes), parts=st.sampled_from([(1, 1), (2, 2),
        (2, 1), (1, 2)]), padding=st.integers(0, 2), modes=st.sampled_from(["zeros", "circular"]),
)  # fmt: skip
def test_what_can_be_joined_computes_the_same_but_at_borders(
    channels, kernels, strides, dilations, parts, padding, modes
):
    inner, hidden, outer = (2 * size for size in channels)
    first = nn.Conv2d(
        inner, hidden, kernels[0], stride=strides[0], dilation=dilations[0], groups=parts[0],
        padding=1, padding_mode=modes,
    )  # fmt: skip
    second = nn.Conv2d(
        hidden, outer, kernels[1], stride=strides[1], dilation=dilations[1], groups=parts[1],
        padding=padding, padding_mode=modes,
    )  # fmt: skip
    found = joined(layer(first), layer(second))
    x = torch.randn(1, inner, 15, 15)
    try:
        expected = second(first(x))
    except RuntimeError:  # the kernel is larger than what it moves over
        return
    if found is None:
        return
    whole = folded([first, second])
    assert tuple(whole.weight.shape) == found.shape
    result = whole(x)
    assert result.shape == expected.shape
    far = 4 if found.inexact_because else 0  # positions that no border reaches
    inside = slice(far, max(result.shape[-1] - far, far))
    torch.testing.assert_close(
        result[..., inside, inside], expected[..., inside, inside], rtol=1e-3, atol=1e-4
    )


def test_padding_inside_is_inexact_at_the_border_and_only_there():
    one, other = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 2, 3, padding=1)
    found = joined(layer(one), layer(other))
    assert found is not None
    assert found.inexact_because
    x = torch.randn(2, 4, 6, 6)
    difference = (folded([one, other])(x) - other(one(x))).abs().amax((0, 1))
    assert difference[1:-1, 1:-1].max() < 1e-5
    assert difference[0].min() > 1e-4


def test_reflected_padding_behind_a_pointwise_convolution_is_exact():
    one, other = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 2, 3, padding=1, padding_mode="reflect")
    found = joined(layer(one), layer(other))
    assert found is not None
    assert not found.inexact_because
    x = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(folded([one, other])(x), other(one(x)), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_joined():
    reflected = Window((3,), (1,), (1,), (1,), mode="reflect")
    dilated, plain = Window((3,), (1,), (0,), (2,)), Window((3,), (1,), (0,), (1,))
    assert joined(Layer(2, 2, plain), Layer(2, 2, reflected)) is None
    assert joined(Layer(2, 2, dilated), Layer(2, 2, plain)) is None
    assert joined(Layer(2, 2, Window()), Layer(2, 2, plain)) is None


def test_a_batch_norm_inside_is_as_in_evaluation():
    one, norm, other = nn.Conv1d(3, 4, 3, bias=False), nn.BatchNorm1d(4), nn.Conv1d(4, 2, 1)
    norm(one(torch.randn(8, 3, 9)))
    x = torch.randn(2, 3, 9)
    expected = other(norm.eval()(one(x)))
    torch.testing.assert_close(folded([one, norm, other])(x), expected, rtol=1e-4, atol=1e-5)


def test_a_depthwise_pair_stays_depthwise():
    one, other = nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 6, 3, groups=6)
    whole = folded([one, other])
    x = torch.randn(1, 6, 9, 9)
    assert whole.groups == 6
    torch.testing.assert_close(whole(x), other(one(x)), rtol=1e-4, atol=1e-5)


# -- in a model -------------------------------------------------------------------------------


def chain(*widths: int) -> nn.Sequential:
    layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
    return nn.Sequential(*[m for one in layers for m in (one, nn.ReLU())][:-1])


def folds_of(model: nn.Module, inputs: torch.Tensor, gone: set[str]) -> list[tuple[str, ...]]:
    return [fold.modules for fold in folds(trace(model, inputs), gone)]


def test_narrow_wide_narrow_becomes_one_and_wide_narrow_wide_does_not():
    rows = torch.randn(1, 8)
    assert folds_of(chain(8, 32, 8), rows, {"1"}) == [("0", "2")]
    assert folds_of(chain(8, 2, 8), rows, {"1"}) == []


def test_of_all_ways_to_join_the_cheapest_is_taken():
    """8-32-2-32-8: the whole as one costs 64, but the two outer pairs cost 16 each."""
    model = chain(8, 32, 2, 32, 8)
    assert sorted(folds_of(model, torch.randn(1, 8), {"1", "3", "5"})) == [("0", "2"), ("4", "6")]


def test_layers_between_which_nothing_went_are_left_alone():
    model = nn.Sequential(nn.Linear(4, 32), nn.Linear(32, 4), nn.ReLU(), nn.Linear(4, 4))
    assert folds_of(model, torch.randn(1, 4), set()) == []


@settings(max_examples=30, deadline=None)
@given(widths=st.lists(st.integers(1, 9), min_size=4, max_size=7), data=st.data())
def test_more_lines_never_cost_more(widths, data):
    model = chain(*widths)
    graph = trace(model, torch.randn(2, widths[0]))
    costs = FoldedCosts(CostModel(graph), groups(graph))
    names = list(costs.groups)
    some = data.draw(st.sets(st.sampled_from(names)))
    more = some | data.draw(st.sets(st.sampled_from(names)))
    before, after = (costs.macs(dict.fromkeys(gone, 0)) for gone in (some, more))
    assert after <= before <= costs.macs({})


def test_dropout_keeps_layers_apart_unless_it_drops_nothing():
    def model(p: float) -> nn.Sequential:
        return nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Dropout(p), nn.Linear(16, 4))

    rows = torch.randn(1, 4)
    assert folds_of(model(0.1), rows, {"1"}) == []
    assert folds_of(model(0.0), rows, {"1"}) == [("0", "3")]


def test_a_norm_over_another_dim_is_not_folded():
    model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(7), nn.GELU(), nn.Linear(16, 4))
    assert folds_of(model, torch.randn(2, 7, 4), {"2"}) == []
