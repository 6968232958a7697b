"""A copy of a model is a model of its own, whatever its functions refer to."""

import functools
import weakref

import pytest
import torch
from torch import nn

import prunus
from prunus.trace.restore import copy_of


class Two(nn.Module):
    """Two layers; what runs them is held in many ways."""

    def __init__(self, how):
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 4)
        how(self)

    def forward(self, x):
        return self.run(x)


class Child(nn.Module):
    def __init__(self, parent):
        super().__init__()
        self.parent = parent

    def forward(self, x):
        return self.parent().b(self.parent().a(x).relu())


def by_lambda(net):
    net.run = lambda x: net.b(net.a(x).relu())


def by_default(net):
    def run(x, layers=(net.a, net.b)):
        return layers[1](layers[0](x).relu())

    net.run = run


def by_list(net):
    layers = [net.a, net.b]
    net.run = lambda x: layers[1](layers[0](x).relu())


def by_partial(net):
    net.run = functools.partial(lambda x, last: last(net.a(x).relu()), last=net.b)


def by_function_in_function(net):
    def first(x):
        return net.a(x).relu()

    net.steps = {"all": [lambda x: net.b(first(x))]}
    net.run = lambda x: net.steps["all"][0](x)


def by_weak_reference(net):
    net.run = Child(weakref.ref(net))


def by_hook(net):
    seen = []
    net.a.register_forward_hook(lambda module, inputs, output: seen.append(output))
    net.run = lambda x: (net.a(x), net.b(seen.pop().relu()))[1]


WAYS = [
    by_lambda,
    by_default,
    by_list,
    by_partial,
    by_function_in_function,
    by_weak_reference,
    by_hook,
]


@pytest.mark.parametrize("how", WAYS)
def test_what_is_cut_is_what_runs(how):
    model, x = Two(how), torch.randn(3, 6)
    dense = model(x)
    pruned = prunus.prune(model, x, budget=prunus.Budget(units=0.5))

    torch.testing.assert_close(pruned.model(x), pruned.masked()(x))
    torch.testing.assert_close(model(x), dense)
    assert pruned.model.a.out_features == 4
    pruned.model(x).sum().backward()
    assert pruned.model.a.weight.grad.shape == (4, 6)
    assert model.a.weight.grad is None


def test_functions_that_lead_nowhere_stay_the_same():
    model = Two(lambda net: setattr(net, "run", torch.relu))
    model.plain = lambda x: x
    assert copy_of(model).plain is model.plain


def test_an_object_that_the_copy_shares_with_the_original_stays():
    outside = nn.Linear(2, 2)
    model = Two(by_lambda)
    model.other = lambda: outside
    assert copy_of(model).other() is outside


def test_a_function_that_calls_a_global_variable_is_refused_in_words(monkeypatch):
    model = Two(lambda net: setattr(net, "run", lambda x: everywhere.b(everywhere.a(x).relu())))  # noqa: F821
    monkeypatch.setitem(globals(), "everywhere", model)
    x, half = torch.randn(3, 6), prunus.Budget(units=0.5)
    with pytest.raises(prunus.PruneError, match="calls the global variable 'everywhere'"):
        prunus.prune(model, x, budget=half)
    assert prunus.prune(model, x, budget=half, in_place=True).model(x).shape == (3, 4)
