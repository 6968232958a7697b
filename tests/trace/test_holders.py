"""What modules hold in containers and plain objects, and paths into it."""

from collections import OrderedDict, namedtuple
from enum import IntEnum
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from prunus.trace.holders import get_attribute, keep, parts_of, reached_from, set_attribute
from prunus.trace.sizes import TaggedInt, tagged

Pair = namedtuple("Pair", "one other")


class Kind(IntEnum):
    WIDE = 8


class Own(tuple):
    """Its constructor is not that of tuples."""

    __slots__ = ()

    def __new__(cls, one, other):
        return super().__new__(cls, (one, other))


def module_with(**attributes):
    module = nn.Linear(2, 2)
    vars(module).update(attributes)
    return module


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [(1, 2), {"b": 3}]}, "held.a.0.1"),
        ({"a": [(1, 2), {"b": 3}]}, "held.a.1.b"),
        (SimpleNamespace(pair=Pair(3, 4)), "held.pair.1"),
        (OrderedDict({3: 4}), "held.3"),
        ((((5,),),), "held.0.0.0"),
    ],
)
def test_what_was_set_is_read(value, path):
    module = module_with(held=value)
    set_attribute(module, path, 99)

    assert get_attribute(module, path) == 99
    assert type(module.held) is type(value)


def test_only_tuples_are_made_anew():
    inner = [1, 2]
    module = module_with(held=(inner, Pair(3, 4)))
    set_attribute(module, "held.0.1", 9)
    set_attribute(module, "held.1.1", 9)

    assert module.held == ([1, 9], Pair(3, 9))
    assert module.held[0] is inner


@pytest.mark.parametrize("path", ["nothing", "held.2", "held.x", "held.0.0", "weight.0"])
def test_nothing_is_there(path):
    assert get_attribute(module_with(held=(3, 4)), path) is None


@pytest.mark.parametrize(
    "value",
    [3, "text", nn.Linear(2, 2), torch.ones(2), Kind.WIDE, partial(max, 3), torch.device("cpu")],
    ids=repr,
)
def test_what_is_no_holder(value):
    assert parts_of(value) == {}
    assert keep(value) is None


def test_cycles_end():
    loop = SimpleNamespace(items=[])
    loop.items.append(loop)

    assert list(reached_from([loop])) == [loop, loop.items]


def test_what_is_tagged_and_what_is_not():
    shared, loop = {"dim": 8}, SimpleNamespace(width=8)
    loop.me = loop
    model = nn.Sequential(
        module_with(one=shared, loop=loop, kind=Kind.WIDE, own=Own(3, 4), flag=True),
        module_with(two=shared, vocabulary={str(k): k + 2 for k in range(300)}, nothing=1),
    )
    with tagged(model) as attributes:
        assert type(model[1].two["dim"]) is TaggedInt
    found = {f"{each.module}.{each.path}" for each in attributes}

    assert {path for path in found if "features" not in path} == {"0.one.dim", "0.loop.width"}
    assert (type(shared["dim"]), type(loop.width)) == (int, int)
    assert model[0].one is model[1].two is shared
