"""What a model does only in training holds for a cut as well: the result is trained on."""

import re

import pytest
import torch
from models import Net, linear
from torch import nn
from torch.nn.functional import dropout

import prunus
from prunus.trace import trace
from prunus.trace.training import does_more_in_training


def mean(net, y):
    return y / (1 + y.mean(-1, keepdim=True)) if net.training else y


def literal(net, y):
    if net.training:
        y = y + torch.ones(16)
    return y


def noise(net, y):
    return y + torch.randn(len(y), 16) if net.training else y


def view(net, y):
    if not net.training:
        return y
    return y.view(-1, 4, 4).tanh().flatten(1)


class Asking(Net):
    """Its forward is the same; the flag is asked for in a method."""

    def forward(self, x):
        y = self.a(x)
        if self.training:
            y = self.function(self, y)
        return self.c(self.b(y).relu())


def parts():
    return {"a": linear(6, 16), "b": linear(16, 10), "c": linear(10, 4)}


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (mean, "reduces over the units"),
        (literal, "neither parameter, buffer|literal"),
        (noise, "size 16 is a literal"),
        (view, "size 4 is a literal"),
    ],
)
def test_what_holds_a_group_in_training_holds_it(step, why):
    model, x = Asking(step, parts()), torch.randn(3, 6)
    pruned = prunus.prune(model, x, budget=prunus.Budget(units=0.5))
    axis = trace(model, x).axes["a"]
    reasons = "; ".join((axis.frozen_because or "", *axis.inexact_because))

    assert re.search(why, reasons), reasons
    assert pruned.model.b.out_features == 5
    pruned.model.train()(x).sum().backward()


def test_dropout_holds_nothing():
    class Dropping(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.drop = linear(6, 16), linear(16, 4), nn.Dropout(0.5)

        def forward(self, x):
            y = dropout(self.drop(self.a(x)), 0.5, training=self.training)
            return self.b(dropout(y.relu(), 0.1, self.training))

    assert not does_more_in_training(Dropping())
    assert trace(Dropping(), torch.randn(3, 6)).axes["a"].frozen_because is None


def test_noise_of_the_shape_of_the_units_holds_nothing():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = linear(6, 16), linear(16, 4)

        def forward(self, x):
            y = self.a(x)
            if self.training:
                y = y + torch.randn_like(y) * y.sigmoid()
            return self.b(y)

    assert does_more_in_training(Noisy())
    axis = trace(Noisy(), torch.randn(3, 6)).axes["a"]
    assert (axis.frozen_because, axis.inexact_because) == (None, ())
