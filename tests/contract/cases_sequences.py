import torch
from models import case, linear, numbers
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

TWO = numbers((2, 5, 6), (2, 7, 6))  # batch, time, features
LENGTHS = torch.tensor([3, 5])


@case(TWO, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, free={"a": 8})
def packed_and_padded(net, x):
    packed = pack_padded_sequence(net.a(x), LENGTHS, batch_first=True, enforce_sorted=False)
    y, _ = pad_packed_sequence(packed, batch_first=True)
    z, _ = pad_packed_sequence(packed, padding_value=2.0)
    return net.b(y), net.b(z), packed.data.sum(1)


@case(
    TWO,
    lambda: {"a": linear(6, 8), "rnn": nn.LSTM(8, 5), "b": linear(5, 4)},
    free={"a": 8, "rnn.weight_ih_l0": 5},
)
def recurrent_over_packed(net, x):
    packed = pack_padded_sequence(net.a(x).transpose(0, 1), torch.tensor([5, 3]))
    y, (hidden, _) = net.rnn(packed)
    return net.b(pad_packed_sequence(y)[0]), net.b(hidden)
