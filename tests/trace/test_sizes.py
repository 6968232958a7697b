"""Who supplied each size, and what must follow after a cut."""

import copy
import json
import math
import operator
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from models import Net, linear, weight
from torch import nn
from torch.nn import functional as F

from prunus import Budget, prune, shrink, trace
from prunus.extents import axes_of, show
from prunus.records import Kept, Plan
from prunus.trace.axes import Node, fresh, leaves_of, product, sum_of
from prunus.trace.holders import set_attribute
from prunus.trace.sizes import (
    Attribute,
    DimSize,
    TaggedInt,
    bind,
    origin_of,
    settle,
)

ROWS, SEQUENCES = torch.ones(2, 6), torch.ones(2, 5, 6)


def size_of(node: Node) -> TaggedInt:
    return TaggedInt(node.size, DimSize(node))


def attribute(value: int, name: str = "size") -> tuple[Attribute, TaggedInt]:
    origin = Attribute("", name)
    return origin, TaggedInt(value, origin)


# -- ints that remember -----------------------------------------------------------------------


OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv}


@given(st.integers(2, 99), st.integers(1, 99), st.sampled_from(list(OPERATORS)))
def test_arithmetic_is_that_of_ints_and_is_remembered(value, other, symbol):
    tagged, compute = size_of(fresh(value)), OPERATORS[symbol]
    for result, pair in (
        (compute(tagged, other), (value, other)),
        (compute(other, tagged), (other, value)),
    ):
        assert result == compute(*pair)
        origin = result.origin
        assert (origin.operator, origin.left_value, origin.right_value) == (symbol, *pair)


def test_minus_is_remembered_and_undone_by_another():
    tagged = size_of(fresh(8))

    minus = -tagged

    assert (minus, -minus, minus.origin.operator) == (-8, 8, "-")
    assert (-minus).origin is tagged.origin


def test_literals_have_no_origin():
    assert origin_of(8) is None
    assert origin_of(int(size_of(fresh(8)))) is None


@pytest.mark.parametrize(
    "use",
    [
        lambda n: n / 2,
        lambda n: 1 / n,
        lambda n: n**-0.5,
        lambda n: 2**n,
        lambda n: math.sqrt(n),
        float,
        lambda n: (n * 2) / 3,
        lambda n: (3 + n) ** 2,
    ],
)
def test_use_as_a_number_is_noted(use):
    node = fresh(8)
    assert type(use(size_of(node))) in (float, int)
    assert "its size is used as a number at test_sizes.py:" in next(iter(node.inexact))


def test_tags_do_not_outlive_copies():
    tagged = size_of(fresh(8))
    copies = copy.copy(tagged), copy.deepcopy([tagged])[0], pickle.loads(pickle.dumps(tagged))

    assert [(type(each), each) for each in copies] == [(int, 8)] * 3


def test_it_is_an_int_in_every_other_respect():
    tagged = size_of(fresh(8))

    assert {8: "x"}[tagged] == "x"
    assert tagged == 8 == tagged
    assert tagged != 9
    assert (f"{tagged:03d}", json.dumps(tagged), list(range(tagged))) == (
        "008",
        "8",
        list(range(8)),
    )
    assert torch.zeros(tagged).shape == (8,)


def test_an_attribute_that_equals_a_dim_follows_it():
    node, (origin, tagged) = fresh(8), attribute(8)
    assert tagged == size_of(node)
    assert origin.node is node


def test_an_attribute_that_differs_from_a_dim_does_not():
    origin, tagged = attribute(8)
    assert tagged != size_of(fresh(9))
    assert origin.node is None


# -- claims -----------------------------------------------------------------------------------


def settled(size: int, node: Node) -> Node:
    settle([bind(size, node)])
    return node


def test_a_literal_freezes():
    node = settled(8, fresh(8))
    assert next(iter(node.frozen)).startswith("size 8 is a literal at test_sizes.py:")


def test_an_attribute_is_bound_and_freezes_nothing():
    origin, tagged = attribute(8)
    node = settled(tagged, fresh(8))
    assert (origin.node, dict(node.frozen)) == (node, {})


def test_a_product_of_attributes_is_followed_into_its_factors():
    (heads, h), (dim, d), node = attribute(3), attribute(4), fresh(12)
    settled(h * d, node)

    assert node.kind == "product"
    assert list(node.parts) == [heads.node, dim.node]
    assert not heads.node.frozen
    assert not dim.node.frozen


def test_a_literal_factor_freezes_itself_alone():
    (heads, h), node = attribute(3), fresh(12)
    settled(h * 4, node)

    assert node.parts[0] is heads.node
    assert not heads.node.frozen
    assert next(iter(node.parts[1].frozen)).startswith("size 4 is a literal at test_sizes.py:")


def test_a_sum_of_attributes_is_followed_into_its_terms():
    (one, a), (other, b), node = attribute(3), attribute(4), fresh(7)
    settled(a + b, node)

    assert list(node.parts) == [one.node, other.node]
    assert not any(part.frozen for part in node.parts)


def test_one_attribute_ties_what_it_sizes():
    (_, tagged), one, other = attribute(8), fresh(8), fresh(8)
    settle([bind(tagged, one), bind(tagged, other)])

    assert one.find() is other.find()


def test_one_attribute_of_two_extents_that_cannot_be_tied_freezes_both():
    _, tagged = attribute(6)
    one, other = product([fresh(2), fresh(3)]), product([fresh(3), fresh(2)])
    settle([bind(tagged, one), bind(tagged, other)])

    for leaf in (*one.parts, *other.parts):
        assert "both take their size from 'size'" in next(iter(leaf.find().frozen))


@pytest.mark.parametrize(
    ("computed", "made_of", "holds"),
    [
        (lambda n: n // 2, lambda half: product([fresh(2, "fixed"), half]), True),
        (lambda n: n // 2, lambda half: sum_of([half, fresh(4)]), False),
        (lambda n: n - 4, lambda half: sum_of([half, fresh(4, "fixed")]), True),
        (lambda n: n - 4, lambda half: sum_of([half, fresh(4)]), False),
        (lambda n: n // 3 + 2, lambda half: sum_of([half, fresh(4, "fixed")]), False),
        (lambda n: (n - 4) * 2 // 2, lambda half: sum_of([half, fresh(4, "fixed")]), True),
    ],
)
def test_a_computed_size_must_hold_after_every_cut(computed, made_of, holds):
    half = fresh(4)
    whole = made_of(half)
    settled(computed(size_of(whole)), half)

    assert any(leaf.frozen for leaf in leaves_of(half)) == (not holds)


def test_what_one_claim_freezes_is_a_constant_for_the_next():
    one, other = fresh(8), fresh(8)
    settle([bind(size_of(one), other), bind(8, one)])

    assert [bool(node.frozen) for node in (one, other)] == [True, True]


# -- in models --------------------------------------------------------------------------------


def traced(forward, inputs=ROWS, **parts):
    model = Net(forward, parts)
    return model, trace(model, inputs)


def attributes(graph):
    """What each attribute is made of, mirrors of PyTorch's own modules left out."""
    return {
        f"{each.module}.{each.attribute}".lstrip("."): show(each.extent)
        for each in graph.attributes
        if each.attribute not in ("in_features", "out_features")
    }


def cut_to(model, graph, **counts):
    """Keep the first so many units of some axes."""
    kept = {
        name: Kept.of(torch.arange(graph.axes[name].size) < count) for name, count in counts.items()
    }
    tensors = {name: value.extents for name, value in graph.tensors.items()}
    followers = tuple(a for a in graph.attributes if axes_of(a.extent) & kept.keys())
    return shrink(model, Plan("channel", kept, tensors, followers))


def heads(net, x):
    b, n, _ = x.shape
    y = net.a(x).view(b, n, net.num_heads, net.head_dim).transpose(1, 2)
    return net.b(y.transpose(1, 2).reshape(b, n, net.num_heads * net.head_dim))


def test_num_heads_is_found_and_set():
    model, graph = traced(
        heads, SEQUENCES, a=linear(6, 12), b=linear(12, 4), num_heads=3, head_dim=4
    )
    assert attributes(graph) == {"num_heads": "3[a]", "head_dim": "4[a#2]"}

    small = cut_to(model, graph, **{"a": 2, "a#2": 3})
    assert (small.num_heads, small.head_dim) == (2, 3)
    assert (small.a.out_features, small.b.in_features) == (6, 6)
    assert (model.num_heads, model.head_dim) == (3, 4)
    assert small(SEQUENCES).shape == (2, 5, 4)


def test_an_attribute_inside_a_tuple_is_found_and_set():
    def forward(net, x):
        return net.b(net.a(x).unflatten(1, net.shape).transpose(1, 2).flatten(1))

    model, graph = traced(forward, a=linear(6, 12), b=linear(12, 4), shape=(3, 4))
    assert attributes(graph) == {"shape.0": "3[a]", "shape.1": "4[a#2]"}
    assert cut_to(model, graph, **{"a#2": 1}).shape == (3, 1)


def test_an_attribute_of_another_module_is_found_and_set():
    def forward(net, x):
        return net.b(net.a(x).view(-1, net.a.width))

    layer = linear(6, 8)
    layer.width = 8
    model, graph = traced(forward, a=layer, b=linear(8, 4))

    assert attributes(graph) == {"a.width": "8[a]"}
    assert cut_to(model, graph, a=5).a.width == 5


def test_the_groups_of_a_convolution_are_found_and_set():
    model = nn.Sequential(nn.Conv1d(3, 6, 1), nn.Conv1d(6, 6, 1, groups=6), nn.Conv1d(6, 2, 1))
    graph = trace(model, torch.ones(2, 3, 4))
    small = cut_to(model, graph, **{"0": 4})

    assert (small[0].out_channels, small[1].groups, small[2].in_channels) == (4, 4, 4)
    assert (small[1].in_channels, small[1].out_channels) == (4, 4)


@pytest.mark.parametrize(
    ("norm", "attribute"),
    [
        (nn.BatchNorm1d(8), "num_features"),
        (nn.BatchNorm1d(8, affine=False), "num_features"),
        (nn.BatchNorm1d(8, track_running_stats=False), "num_features"),
        (nn.InstanceNorm1d(8, affine=True), "num_features"),
        (nn.InstanceNorm1d(8), "num_features"),
        (nn.GroupNorm(8, 8), "num_channels"),
        (nn.PReLU(8), "num_parameters"),
    ],
    ids=repr,
)
def test_numbers_that_repeat_a_shape_follow(norm, attribute):
    model = nn.Sequential(nn.Conv1d(3, 8, 1), norm, nn.Conv1d(8, 2, 1))
    small = cut_to(model, trace(model, torch.ones(2, 3, 4)), **{"0": 5})

    assert getattr(small[1], attribute) == 5


def test_an_attribute_that_sizes_nothing_stays():
    def forward(net, x):
        return net.b(net.a(x)) / net.width

    model, graph = traced(forward, a=linear(6, 8), b=linear(8, 4), width=8)
    assert attributes(graph) == {}
    assert cut_to(model, graph, a=5).width == 8


def test_a_number_passed_to_a_function_is_not_a_size():
    def forward(net, x):
        y = net.a(x)
        return net.b(y.view(-1, net.width)) + F.linear(y, net.b.weight) / net.width

    _, graph = traced(forward, a=linear(6, 8), b=linear(8, 4), width=8)
    assert "used as a number" in graph.axes["a"].inexact_because[0]


@pytest.mark.parametrize(
    "sliced",
    [
        lambda table, n: table[:n],
        lambda table, n: table[0:n],
        lambda table, n: table.narrow(0, 0, n),
        lambda table, n: table[-n:],
        lambda table, n: table[: n % 100],
        lambda table, n: table.split([n, len(table) - n])[0],
    ],
)
def test_a_slice_as_long_as_the_inputs_keeps_the_rest(sliced):
    """The rest of a table of positions is for longer inputs."""

    def forward(net, x):
        return net.b(net.a(x) + sliced(net.table, x.shape[1]))

    _, graph = traced(forward, SEQUENCES, a=linear(6, 8), b=linear(8, 4), table=weight(9, 8))
    rows = [axis for name, axis in graph.axes.items() if name.startswith("table")]
    assert rows
    assert all(axis.frozen_because for axis in rows)


def test_set_attribute_in_nested_containers():
    module = nn.Module()
    module.size, module.shapes = 8, [(1, 2), (3, 4)]
    set_attribute(module, "size", 5)
    set_attribute(module, "shapes.1.0", 9)

    assert (module.size, module.shapes) == (5, [(1, 2), (9, 4)])


def test_attributes_that_are_compared_stay_equal():
    """Of two numbers that are equal, one sizes a dim; the other only tells the way."""

    def forward(net, x):
        heads = net.a(x).unflatten(-1, (net.heads, 2))
        if net.groups != net.heads:
            heads = heads.repeat_interleave(net.heads // net.groups, 1)
        return net.b(heads.flatten(1))

    parts = {"a": linear(6, 8), "b": linear(8, 3), "heads": 4, "groups": 4}
    model, rows = Net(forward, parts), torch.randn(2, 6)
    result = prune(model, rows, budget=Budget(units=0.5)).model
    assert (result.heads, result.groups) == (2, 2)
    assert (model.heads, model.groups) == (4, 4)


def test_what_we_compare_ourselves_is_not_the_users_doing():
    """A block that keeps the shape is looked at by us; that ties nothing."""

    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv3d(4, 4, 3, padding=1), nn.Conv3d(4, 4, 3, padding=1)

        def forward(self, x):
            return (x + self.two(self.one(x).relu())).relu()

    model = nn.Sequential(nn.Conv3d(3, 4, 1), Keeps(), nn.ReLU(), nn.Conv3d(4, 2, 1))
    axes = trace(model, torch.randn(1, 3, 2, 4, 4)).axes
    assert {name for name, axis in axes.items() if axis.frozen_because is None} == {"0", "1.one"}
