import functools

import torch
from torch import nn

from prunus import Budget, prune, trace
from prunus.trace.caches import forgotten

X = torch.ones(2, 3, 6)
HALF = Budget(units=0.5)


def remembers(function):
    """What transformers does: the cached function is hidden in a closure."""
    cached = functools.lru_cache(maxsize=4)(function)

    @functools.wraps(function)
    def wrapper(*args):
        return cached(*args)

    wrapper.cache = cached
    return wrapper


@remembers
def positions(length):
    return torch.linspace(0.0, 1.0, length)[:, None]


@functools.cache
def settings():
    return object()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 4)

    @staticmethod
    @functools.cache
    def scale(length):
        return torch.full((length,), 2.0)

    def forward(self, x):
        settings()
        y = self.a(x) + positions(x.shape[1])
        return self.b(y.relu()) * self.scale(x.shape[1])[:, None]


def test_a_model_runs_after_a_trace():
    model = Net()
    with forgotten(model):
        expected = model(X)
    trace(model, X)

    torch.testing.assert_close(model(X), expected)


def test_what_was_remembered_before_is_traced_all_the_same():
    model = Net()
    model(X)
    graph = trace(model, X)

    assert graph.axes["a"].frozen_because is None
    assert "linspace" in {operator.name for operator in graph.operators}


def test_a_model_whose_functions_remember_tensors_is_pruned():
    model = Net()
    model(X)

    assert prune(model, X, budget=HALF).plan.counts == {"a": 4}


def test_only_tensors_are_forgotten():
    model, before = Net(), settings()
    model(X)
    with forgotten(model):
        assert positions.cache.cache_info().currsize == 0
        assert Net.scale.cache_info().currsize == 0
        model(X)

    assert positions.cache.cache_info().currsize == 0
    assert settings() is before


POSITIONS = {}


class Remembering(nn.Module):
    """It keeps positions in a variable of its file."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 8)

    def forward(self, x):
        if len(x) not in POSITIONS:
            POSITIONS[len(x)] = torch.arange(len(x)).cos()[:, None]
        return self.a(x) * POSITIONS[len(x)]


def test_what_a_trace_leaves_in_a_variable_has_numbers():
    model, x = Remembering(), torch.randn(3, 4)
    trace(model, x)
    assert POSITIONS[3].flatten().tolist() == torch.arange(3).cos().tolist()
    assert model(x).shape == (3, 8)
