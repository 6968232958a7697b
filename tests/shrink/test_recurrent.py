"""Recurrent layers keep their weights in a list as well, and repeat their sizes."""

import copy

import pytest
import torch
from models import Net, halved, linear
from torch import nn

from prunus import Budget, prune, shrink, trace

SEQUENCE = torch.randn(2, 5, 6)


def network(kind, outputs=8, **settings):
    rnn = kind(6, 8, batch_first=True, **settings)
    return Net(lambda net, x: net.b(net.rnn(net.a(x))[0]),
               {"a": linear(6, 6), "rnn": rnn, "b": linear(outputs, 4)})  # fmt: skip


@pytest.fixture(params=[nn.RNN, nn.LSTM, nn.GRU])
def small(request):
    model = network(request.param, outputs=16, num_layers=2, bidirectional=True)
    return shrink(model, halved(model, SEQUENCE))


def test_its_sizes_follow(small):
    assert (small.rnn.input_size, small.rnn.hidden_size) == (3, 4)
    assert (type(small.rnn.input_size), type(small.rnn.hidden_size)) == (int, int)


def test_the_list_holds_the_cut_parameters(small):
    ours = [id(parameter) for parameter in small.rnn.parameters()]
    assert [id(weight) for weight in small.rnn._flat_weights] == ours


def test_the_list_holds_the_cut_parameters_in_place():
    model = network(nn.GRU)
    shrink(model, halved(model, SEQUENCE), in_place=True)

    assert [id(w) for w in model.rnn._flat_weights] == [id(p) for p in model.rnn.parameters()]
    assert model(SEQUENCE).shape == (2, 5, 4)


def test_projections_follow():
    model = network(nn.LSTM, outputs=4, proj_size=4)
    small = shrink(model, halved(model, SEQUENCE)).rnn
    assert (small.input_size, small.hidden_size, small.proj_size) == (3, 4, 2)


def test_the_hidden_size_stays_above_that_of_the_projections():
    """PyTorch builds no other LSTM, and does not run one where they are equal."""
    model = network(nn.LSTM, outputs=3, proj_size=3)
    model.rnn = nn.LSTM(6, 4, batch_first=True, proj_size=3)
    pruned = prune(model, SEQUENCE, budget=Budget(units=0.6), include=["rnn*"])
    (reason,) = (row.frozen_because for row in pruned.report.groups if row.name.endswith("ih_l0"))

    assert "'rnn' would have hidden_size 2 and proj_size 2; PyTorch wants the first" in reason
    assert pruned.model.rnn.hidden_size == 4 > pruned.model.rnn.proj_size
    assert pruned.model(SEQUENCE).shape == (2, 5, 4)


def test_it_trains(small):
    optimizer = torch.optim.SGD(small.parameters(), lr=0.1)
    before = small(SEQUENCE)
    before.square().mean().backward()
    assert all(parameter.grad is not None for parameter in small.parameters())
    optimizer.step()
    assert not torch.equal(small(SEQUENCE), before)


def test_a_copy_computes_the_same(small):
    torch.testing.assert_close(copy.deepcopy(small)(SEQUENCE), small(SEQUENCE))


def test_cudnn_gets_its_weights_side_by_side(monkeypatch):
    model = network(nn.LSTM)
    plan = halved(model, SEQUENCE)
    flattened = []
    monkeypatch.setattr(nn.LSTM, "flatten_parameters", lambda rnn: flattened.append(rnn))
    small = shrink(model, plan)
    assert [id(rnn) for rnn in flattened[-1:]] == [id(small.rnn)]


def test_tracing_leaves_the_list_and_the_switches():
    model = network(nn.LSTM)
    before = list(model.rnn._flat_weights)
    enabled = torch.backends.mkldnn.enabled
    trace(model, SEQUENCE)

    assert all(one is other for one, other in zip(model.rnn._flat_weights, before, strict=True))
    assert torch.backends.mkldnn.enabled == enabled


def test_a_longer_sequence_takes_proportionally_more_operators():
    model = network(nn.GRU)
    short, middle, long = (
        len(trace(model, torch.randn(1, length, 6)).operators) for length in (4, 8, 12)
    )
    assert long - middle == middle - short
