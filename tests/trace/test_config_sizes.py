"""Sizes that modules read from config objects: found, set on the result's own, and given back."""

import argparse
from collections import UserDict, namedtuple
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from models import halved, linear, masked
from torch import nn

import prunus
from prunus import Budget, prune, shrink, trace

X = torch.ones(2, 5, 6)


@dataclass
class Data:
    heads: int = 4
    dim: int = 3


@dataclass(frozen=True, slots=True)
class Frozen:
    heads: int = 4
    dim: int = 3


class Plain:
    heads, dim = 0, 0

    def __init__(self):
        self.heads, self.dim = 4, 3

    @property
    def width(self):
        return self.heads * self.dim


class Renaming:
    """As PretrainedConfig does with its attribute_map."""

    def __init__(self):
        self.n_head, self.dim = 4, 3

    def __getattr__(self, name):
        if name == "heads":
            return self.n_head
        raise AttributeError(name)


class Items(UserDict[str, Any]):
    pass


Named = namedtuple("Named", "heads dim")


@dataclass
class Outer:
    vision: Any = field(default_factory=Plain)
    labels: dict[Any, Any] = field(default_factory=lambda: {0: "cat", "a.b": 4, 7: 9})


class Block(nn.Module):
    """Attention-like: its heads and their width are read when it runs."""

    def __init__(self, config, read):
        super().__init__()
        self.config, self.read = config, read
        self.a, self.b = linear(6, 12), linear(12, 6)

    def forward(self, x):
        heads, dim = self.read(self.config)
        y = self.a(x).view(*x.shape[:2], heads, dim)
        return self.b(y.transpose(1, 2).transpose(1, 2).reshape(*x.shape[:2], heads * dim))


def attributes(config):
    return config.heads, config.dim


def items(config):
    return config["heads"], config["dim"]


CONFIGS = {
    "dataclass": (Data, attributes, "config.heads"),
    "frozen": (Frozen, attributes, "config.heads"),
    "object": (Plain, attributes, "config.heads"),
    "renaming": (Renaming, attributes, "config.n_head"),
    "namespace": (lambda: SimpleNamespace(heads=4, dim=3), attributes, "config.heads"),
    "arguments": (lambda: argparse.Namespace(heads=4, dim=3), attributes, "config.heads"),
    "dict": (lambda: {"heads": 4, "dim": 3}, items, "config.heads"),
    "user dict": (lambda: Items(heads=4, dim=3), items, "config.data.heads"),
    "list": (lambda: [4, 3], tuple, "config.0"),
    "tuple": (lambda: (4, 3), tuple, "config.0"),
    "named tuple": (lambda: Named(4, 3), tuple, "config.0"),
    "nested": (Outer, lambda config: attributes(config.vision), "config.vision.heads"),
    "deep": (
        lambda: {"net": [SimpleNamespace(sizes=(4, 3))]},
        lambda config: config["net"][0].sizes,
        "config.net.0.sizes.0",
    ),
    "keys that are ints": (lambda: {0: 4, 1: 3}, lambda c: (c[0], c[1]), "config.0"),
}
configs = pytest.mark.parametrize(("make", "read", "path"), CONFIGS.values(), ids=CONFIGS)


def halved_heads(model, inputs=X):
    """A pruned model with two of its four heads."""
    names = [axis.name for axis in trace(model, inputs).axes.values() if axis.size == 4]
    plan = halved(model, inputs)
    kept = {name: kept for name, kept in plan.kept.items() if name in names}
    return prunus.Plan(plan.granularity, kept, plan.tensors, plan.attributes)


@configs
def test_sizes_in_a_config_follow_the_cut(make, read, path):
    model = Block(make(), read)
    config, words = model.config, repr(read(model.config))
    plan = halved_heads(model)
    small = shrink(model, plan)

    assert path in {each.attribute for each in plan.attributes}
    assert (read(small.config), small.a.out_features) == ((2, 3), 6)
    assert type(small.config) is type(config)
    torch.testing.assert_close(small(X), masked(model, plan)(X))
    assert model.config is config
    assert repr(read(config)) == words
    assert [type(size) for size in read(config)] == [int, int]


@configs
def test_plans_with_such_paths_are_saved_and_loaded(make, read, path):
    model = Block(make(), read)
    plan = halved_heads(model)
    prunus.save_plan(plan, "plan.json")

    assert prunus.load_plan("plan.json").attributes == plan.attributes
    assert read(shrink(model, prunus.load_plan("plan.json")).config) == (2, 3)


@pytest.mark.parametrize("make", [Data, Frozen, lambda: SimpleNamespace(heads=4, dim=3)])
def test_a_saved_model_is_built_with_the_sizes_of_the_cut(make):
    def build():
        return Block(make(), attributes)

    pruned = prune(build(), X, budget=Budget(units=0.5))
    prunus.save(pruned, "small")
    loaded = prunus.load("small", model=build())

    assert loaded.config == pruned.model.config != make()
    assert torch.equal(loaded(X), pruned.model(X))


def test_another_config_is_another_architecture():
    pruned = prune(Block(Data(), attributes), X, budget=Budget(units=0.5))
    prunus.save(pruned, "small")

    with pytest.raises(prunus.errors.SaveError, match=r"config\.heads is 3 here, 4 there"):
        prunus.load("small", model=Block(Data(3, 4), attributes))


class Two(nn.Module):
    """Two blocks that read one config."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.one, self.other = Block(config, attributes), Block(config, attributes)

    def forward(self, x):
        return self.other(self.one(x).relu())


def test_a_config_that_modules_share_stays_shared_and_ties_what_it_sizes():
    model = Two(Data())
    plan = halved_heads(model)
    small = shrink(model, plan)

    assert len(plan.kept) == 1
    assert small.config is small.one.config is small.other.config is not model.config
    assert (small.config, model.config) == (Data(2, 3), Data(4, 3))
    torch.testing.assert_close(small(X), masked(model, plan)(X))


def test_in_place_the_callers_config_follows():
    config = Data()
    model = Block(config, attributes)
    shrink(model, halved_heads(model), in_place=True)

    assert model.config is config
    assert config == Data(2, 3)


def test_what_is_not_read_when_it_runs_stays():
    config = SimpleNamespace(heads=4, dim=3, hidden_size=12, width=6)
    model = Block(config, attributes)
    small = shrink(model, halved_heads(model))

    assert (small.config.hidden_size, small.config.width, small.config.heads) == (12, 6, 2)


def test_a_failed_check_in_place_gives_the_config_back(monkeypatch):
    def fail(*_, **__):
        raise prunus.errors.VerifyError("it differs")

    monkeypatch.setattr("prunus.api.agree", fail)
    config = Data()
    with pytest.raises(prunus.errors.VerifyError, match="it differs"):
        prune(Block(config, attributes), X, budget=Budget(units=0.5), in_place=True)
    assert config == Data()
