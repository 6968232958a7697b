"""Code that does with sizes what a size is not made for."""

import math

import pytest
import torch
from models import Net, conv, linear
from torch.nn.functional import max_pool2d

import prunus
from prunus.errors import BudgetError
from prunus.trace import trace


def parts():
    return {"a": conv(3, 16), "b": conv(16, 4), "c": conv(4, 10), "d": conv(10, 2), "window": 2}


def rolled(net, y):
    return y.roll(y.shape[1] % 3, 3)


def shifted(net, y):
    return torch.roll(y, (y.shape[1] >> 3, 0), (2, 3))


def halved(net, y):
    return y * (y.shape[1] * 0.5 / float(y.new_ones(()).item()))


def divided(net, y):
    quotient, rest = divmod(y.shape[1], 3)
    return y * quotient - rest


@pytest.mark.parametrize("step", [rolled, shifted, halved, divided])
def test_what_is_computed_from_a_size_is_used_as_a_number(step):
    model, x = (
        Net(lambda net, x: net.b(step(net, net.a(x).relu())), parts()),
        torch.randn(2, 3, 8, 8),
    )
    axis = trace(model, x).axes["a"]
    assert any("its size is used as a number" in why for why in axis.inexact_because)
    with pytest.raises(BudgetError):
        prunus.prune(model, x, budget=prunus.Budget(units=0.5), include=["a"])


def test_a_remainder_that_is_only_looked_at_holds_nothing():
    def forward(net, x):
        y = net.a(x)
        assert y.shape[1] % net.window == 0
        return net.b(y.relu())

    axis = trace(Net(forward, parts()), torch.randn(2, 3, 8, 8)).axes["a"]
    assert (axis.frozen_because, axis.inexact_because) == (None, ())


def by_type(net, x):
    window = (net.window, net.window) if type(net.window) is int else tuple(net.window)
    y = max_pool2d(net.a(x).relu(), window)
    if type(y.shape[1]) is not int:
        raise TypeError("a width is an int")
    return net.d(net.c(net.b(y).relu()).relu())


def test_code_that_looks_at_the_type_of_a_size_is_traced_without_tags():
    model, x = Net(by_type, parts()), torch.randn(2, 3, 8, 8)
    pruned = prunus.prune(model, x, budget=prunus.Budget(units=0.5))
    assert [pruned.model.get_submodule(name).out_channels for name in "abc"] == [8, 2, 5]
    assert type(pruned.model.window) is int


def by_type_and_literal(net, x):
    y = net.a(x)
    if type(y.shape[-1]) is not int:
        raise TypeError("a width is an int")
    y = y.view(-1, 4, 4).tanh().view(-1, 16)
    return net.c(net.b(y).relu())


def test_without_tags_a_literal_shows_in_the_replay():
    layers = {"a": linear(6, 16), "b": linear(16, 10), "c": linear(10, 4)}
    model, x = Net(by_type_and_literal, layers), torch.randn(3, 6)
    pruned = prunus.prune(model, x, budget=prunus.Budget(units=0.5))
    assert (pruned.model.a.out_features, pruned.model.b.out_features) == (16, 5)


def far_away(net, x):
    y = net.a(x)
    scale = math.log2(y.shape[1])
    y = net.b(y.relu())
    return net.d(net.c(y * scale).relu())


def test_a_cause_that_is_not_where_it_shows_is_found():
    model, x = Net(far_away, parts()), torch.randn(2, 3, 8, 8)
    pruned = prunus.prune(model, x, budget=prunus.Budget(units=0.5))
    assert [pruned.model.get_submodule(name).out_channels for name in "abc"] == [16, 2, 5]
    reasons = {row.name: row.frozen_because for row in pruned.report.groups}
    assert "its argument 'other'" in reasons["a"]
