"""A plan is tried on fake tensors before anything is cut."""

import logging
import math

import pytest
import torch
from models import Net, linear
from torch import nn

from prunus import Budget, prune, trace
from prunus.trace import replay

ROWS = torch.ones(2, 6)


def tried(forward, counts, **parts):
    model = Net(forward, parts)
    return replay(model, ROWS, trace(model, ROWS), counts)


LAYERS = {"a": linear(6, 8), "b": linear(8, 4)}


def written_to(net, x):
    hidden = net.a(x)
    torch._foreach_add_([hidden], 1.0)
    return net.c(net.b(hidden).relu())


def test_an_operator_that_only_writes_keeps_its_place():
    assert tried(written_to, {"b": 3}, c=linear(4, 2), **LAYERS) is None


def test_a_plan_that_runs():
    assert tried(lambda net, x: net.b(net.a(x).relu()), {"a": 3}, **LAYERS) is None


def hidden_literal(net, x):
    """A size that nothing can see: no tag survives `int`, and no watched function takes it."""
    y = net.a(x)
    return net.b(torch.ops.aten.add(y, torch.ops.aten.ones([int(y.shape[1] * 0 + 8)])))


def test_another_shape_is_found_with_the_users_line():
    found = tried(hidden_literal, {"a": 3}, **LAYERS)

    assert found.axes == {"a"}
    assert found.reason.startswith("ones at test_replay.py:")


def test_another_operator_is_found():
    def forward(net, x):
        y = net.a(x)
        return net.b(y.relu() if len(y[0]) > 5 else y.tanh())

    found = tried(forward, {"a": 3}, **LAYERS)
    assert "'tanh' runs, which did not run there before" in found.reason


def test_operators_that_no_longer_run_are_found():
    def forward(net, x):
        y = net.b(net.a(x))
        for _ in range(int(net.a.weight.shape[0]) - 5):
            y = y.relu()
        return y

    found = tried(forward, {"a": 5}, **LAYERS)
    assert "'relu' does not run any more" in found.reason


@pytest.mark.parametrize("error", [AssertionError, KeyError, ZeroDivisionError, RuntimeError])
@pytest.mark.parametrize("words", [(), ("the size is odd",)])
def test_whatever_forward_raises_is_a_divergence(error, words):
    def forward(net, x):
        y = net.a(x)
        if int(y.shape[1]) % 2:
            raise error(*words)
        return net.b(y)

    assert tried(forward, {"a": 4}, **LAYERS) is None
    found = tried(forward, {"a": 3}, **LAYERS)
    assert error.__name__ in found.reason
    assert found.axes == {"a"}


def test_pytorch_does_not_log_what_is_reported(caplog):
    with caplog.at_level(logging.DEBUG):
        assert tried(lambda net, x: net.b(net.a(x)[:, 0:8:1] @ torch.eye(8)), {"a": 3}, **LAYERS)
    assert "failed while attempting to run meta" not in caplog.text
    assert not logging.getLogger("torch._subclasses.fake_tensor").disabled


def test_the_model_keeps_its_tensors_and_attributes():
    def forward(net, x):
        net.last = x
        return net.b(net.a(x))

    model = Net(forward, LAYERS)
    before = dict(model.named_parameters())
    replay(model, ROWS, trace(model, ROWS), {"a": 3})

    assert all(parameter is before[name] for name, parameter in model.named_parameters())
    assert not hasattr(model, "last")


@pytest.mark.parametrize("error", [None, KeyError("x")])
def test_sizes_are_those_of_the_plan_for_a_while(error):
    seen = []

    def forward(net, x):
        seen.append((int(net.heads), tuple(net.shape), net.a.out_features, net.b.in_features))
        if error and len(seen) > 1:
            raise error
        return net.b(net.a(x).view(-1, net.heads, net.shape[0]).transpose(1, 2).flatten(1))

    parts = {"a": linear(6, 12), "b": linear(12, 4), "heads": 4, "shape": (3, 9)}
    found = tried(forward, {"a": 2, "a#2": 1}, **parts)

    assert (found is None) == (error is None)
    assert seen[1] == (2, (1, 9), 2, 2)
    assert (parts["a"].out_features, parts["b"].in_features) == (12, 12)


def test_tied_parameters_and_buffers_have_the_new_sizes():
    model = nn.Sequential(linear(6, 8), nn.BatchNorm1d(8), linear(8, 6), linear(6, 8), nn.ReLU())
    model[3].weight = model[0].weight
    graph = trace(model, ROWS)

    assert replay(model, ROWS, graph, {}) is None


class Grouped(nn.Module):
    """Grouped queries as transformers writes them: another path where there is one to a group."""

    def __init__(self):
        super().__init__()
        self.groups, self.each = 4, 2
        self.queries, self.keys, self.out = linear(6, 16), linear(6, 8), linear(16, 6)

    def forward(self, x):
        batch = x.shape[0]
        queries = self.queries(x).view(batch, self.groups, self.each, 2)
        keys = self.keys(x).view(batch, self.groups, 1, 2)
        if self.each > 1:
            keys = keys.expand(batch, self.groups, self.each, 2)
        return x + self.out((queries * keys.tanh()).reshape(batch, -1))


def test_the_cause_alone_is_frozen_and_its_lookalikes_without_a_replay_for_each(monkeypatch):
    tried = []

    def counted(*arguments):
        tried.append(arguments)
        return replay(*arguments)

    monkeypatch.setattr("prunus.planner.replay", counted)
    model = nn.Sequential(*(Grouped() for _ in range(6)), linear(6, 2))
    result = prune(model, ROWS, budget=Budget(units=0.5))
    blocks = list(result.model)[:6]
    assert [(block.groups, block.each) for block in blocks] == [(2, 2)] * 6
    assert len(tried) <= 6


@pytest.mark.parametrize(
    "number",
    [
        lambda y: y.shape[1:].numel(),
        lambda y: math.log2(y.shape[1]),
        lambda y: min(y.shape[1], 60),
        lambda y: y.stride(0),
        lambda y: len([0] * y.shape[1]),
        lambda y: {8: 1.0, 4: 2.0}[y.shape[1]],
    ],
)
def test_a_number_that_follows_a_size_is_found_wherever_it_comes_from(number):
    def forward(net, x):
        y = net.a(x).relu()
        return net.c(net.b(y * number(y)).relu())

    result = prune(Net(forward, {**LAYERS, "c": linear(4, 2)}), ROWS, budget=Budget(units=0.5))
    assert result.model.a.out_features == 8
    assert result.model.b.out_features == 2
