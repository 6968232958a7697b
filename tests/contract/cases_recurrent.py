"""Recurrent layers, which PyTorch takes apart into the operators of one step after another."""

import torch
from models import SEQUENCES, case, linear
from torch import nn


def _recurrent(kind, outputs=8, **settings):
    return lambda: {
        "a": linear(6, 6),
        "rnn": kind(6, 8, batch_first=True, **settings),
        "b": linear(outputs, 4),
    }


def _cell(kind):
    return lambda: {"a": linear(6, 6), "rnn": kind(6, 8), "b": linear(8, 4)}


@case(SEQUENCES, _recurrent(nn.RNN), free={"a": 6, "rnn.weight_ih_l0": 8})
def rnn(net, x):
    return net.b(net.rnn(net.a(x))[0])


@case(
    SEQUENCES,
    _recurrent(nn.LSTM, outputs=16, num_layers=2, bidirectional=True, dropout=0.1),
    free={"a": 6, "rnn.weight_ih_l0": 8},
)
def lstm(net, x):
    """All layers and both directions have one hidden size, and so one axis."""
    return net.b(net.rnn(net.a(x))[0])


@case(
    SEQUENCES,
    _recurrent(nn.LSTM, outputs=3, num_layers=2, proj_size=3),
    free={"a": 6, "rnn.weight_ih_l0": 8, "rnn.weight_hr_l0": 3},
)
def lstm_with_projection(net, x):
    """PyTorch takes equal hidden and projected sizes for no projection; the replay finds that."""
    return net.b(net.rnn(net.a(x))[0])


@case(
    SEQUENCES,
    _recurrent(nn.GRU, num_layers=2, bias=False),
    free={"a": 6, "rnn.weight_ih_l0": 8},
)
def gru_last_state(net, x):
    return net.b(net.rnn(net.a(x))[1][-1])


@case(SEQUENCES, _recurrent(nn.GRU), free={"a": 6, "rnn.weight_ih_l0": 8})
def gru_with_first_state(net, x):
    first = x.new_zeros(1, x.shape[0], net.rnn.hidden_size)
    return net.b(net.rnn(net.a(x), first)[0])


@case(SEQUENCES, _cell(nn.RNNCell), free={"a": 6, "rnn.weight_ih": 8})
def rnn_cell(net, x):
    state = None
    for step in net.a(x).unbind(1):
        state = net.rnn(step, state)
    return net.b(state)


@case(SEQUENCES, _cell(nn.LSTMCell), free={"a": 6, "rnn.weight_ih": 8})
def lstm_cell(net, x):
    state = None
    for step in net.a(x).unbind(1):
        state = net.rnn(step, state)
    return net.b(state[0])


@case(
    SEQUENCES,
    lambda: {"size": 8, "inner": linear(6, 8), "again": linear(8, 8), "b": linear(8, 4)},
    free={"inner": 8},
)
def recurrent_by_hand(net, x):
    state = x.new_zeros(x.shape[0], net.size)
    for step in x.unbind(1):
        state = torch.tanh(net.inner(step) + net.again(state))
    return net.b(state)
