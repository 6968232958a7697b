"""Every axis becomes a group that knows all that its units own."""

import pytest
import torch
from models import Net, conv, linear, weight
from torch import nn

from prunus import trace, units

IMAGES, ROWS = torch.ones(2, 3, 6, 6), torch.ones(2, 6)


def channels(model, inputs):
    return units.groups(trace(model, inputs), "channel")


@pytest.fixture
def residual():
    def forward(net, x):
        y = net.norm(net.a(x))
        return net.c(y + net.b(y))

    parts = {"a": conv(3, 8), "norm": nn.BatchNorm2d(8), "b": conv(8, 8), "c": conv(8, 4)}
    return channels(Net(forward, parts), IMAGES)["a"]


def test_members_are_all_that_a_unit_owns(residual):
    assert {(member.tensor, member.dim) for member in residual.members} == {
        ("a.weight", 0),
        ("a.bias", 0),
        ("b.weight", 0),
        ("b.weight", 1),
        ("b.bias", 0),
        ("c.weight", 1),
        ("norm.weight", 0),
        ("norm.bias", 0),
        ("norm.running_mean", 0),
        ("norm.running_var", 0),
    }


def test_producers_come_first_and_buffers_last(residual):
    roles = [(member.produces, member.parameter) for member in residual.members]

    assert residual.members[0].tensor == "a.weight"
    assert roles == sorted(roles, reverse=True)
    assert {m.tensor for m in residual.members if not m.parameter} == {
        "norm.running_mean",
        "norm.running_var",
    }


def test_what_reads_a_unit_is_told_from_what_makes_it(residual):
    roles = {(m.tensor, m.dim): (m.produces, m.reads) for m in residual.members}

    assert roles["a.weight", 0] == (True, False)
    assert roles["b.weight", 1] == (False, True)
    assert roles["norm.weight", 0] == (True, False)
    assert roles["norm.running_mean", 0] == (False, False)


def index_of(group):
    """Member tensor -> positions of each unit, [[...], ...]."""
    pairs = zip(group.members, group.index_UK, strict=True)
    return {(member.tensor, member.occurrence): index.tolist() for member, index in pairs}


def test_index_of_a_flattened_channel_is_a_block():
    model = nn.Sequential(conv(3, 2), nn.Flatten(), linear(2 * 36, 4))
    index = index_of(channels(model, IMAGES)["0"])

    assert index["0.weight", 0] == [[0], [1]]
    assert index["2.weight", 0] == [list(range(36)), list(range(36, 72))]


def test_index_of_what_is_joined_has_an_offset():
    def forward(net, x):
        return net.c(torch.cat([net.a(x), net.b(x)], 1))

    groups = channels(Net(forward, {"a": linear(6, 2), "b": linear(6, 3), "c": linear(5, 4)}), ROWS)
    assert index_of(groups["b"])["c.weight", 0] == [[2], [3], [4]]


def test_a_tensor_that_occurs_twice_is_two_members():
    def forward(net, x):
        y = net.a(x)
        return net.b(torch.cat([y, y.relu()], 1))

    index = index_of(channels(Net(forward, {"a": linear(6, 2), "b": linear(4, 4)}), ROWS)["a"])
    assert index["b.weight", 0] == [[0], [1]]
    assert index["b.weight", 1] == [[2], [3]]


def test_index_of_a_head_is_its_width():
    def forward(net, x):
        y = net.a(x).view(-1, net.heads, 2).transpose(1, 2)
        return net.b(y.flatten(1))

    model = Net(forward, {"a": linear(6, 6), "b": linear(6, 4), "heads": 3})
    index = index_of(channels(model, ROWS)["a"])
    assert index["a.weight", 0] == [[0, 1], [2, 3], [4, 5]]
    assert index["b.weight", 0] == [[0, 3], [1, 4], [2, 5]]


def test_groups_that_may_not_be_cut_say_why():
    groups = channels(nn.Sequential(linear(6, 8), nn.Softmax(1), linear(8, 4)), ROWS)

    assert groups["0"].frozen_because.startswith("removal is not exact: _softmax at ")
    assert groups["2"].frozen_because == "model output"


def test_a_weight_without_a_layer():
    model = Net(
        lambda net, x: (x @ net.first).relu() @ net.last,
        {"first": weight(6, 8), "last": weight(8, 4)},
    )
    group = channels(model, ROWS)["first"]

    assert [(m.tensor, m.dim, m.produces) for m in group.members] == [
        ("first", 1, True),
        ("last", 0, False),
    ]
