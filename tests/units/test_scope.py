"""What the user wants kept whole."""

import pytest
import torch
from models import Net, linear
from torch import nn

from prunus import trace, units
from prunus.errors import PlanError

ROWS = torch.ones(2, 6)


@pytest.fixture
def graph():
    model = nn.Sequential()
    model.add_module("stem", linear(6, 8))
    model.add_module("body", nn.Sequential(linear(8, 7), nn.ReLU(), linear(7, 5)))
    model.add_module("head", linear(5, 4))
    return trace(model, ROWS)


def free(graph, **scope):
    groups = units.groups(graph, "channel", **scope)
    return [name for name, group in groups.items() if group.frozen_because is None]


@pytest.mark.parametrize(
    ("scope", "left"),
    [
        ({}, ["stem", "body.0", "body.2"]),
        ({"include": ["body.*"]}, ["body.0", "body.2"]),
        ({"include": ["*"]}, ["stem", "body.0", "body.2"]),
        ({"include": ["stem", "body.0"]}, ["stem", "body.0"]),
        ({"include": []}, []),
        ({"exclude": ["body.*"]}, ["stem"]),
        ({"exclude": "body.*"}, ["stem"]),
        ({"include": "body.*"}, ["body.0", "body.2"]),
        ({"exclude": ["body.0.weight"]}, ["stem", "body.2"]),
        ({"include": ["body.*"], "exclude": ["*.2"]}, ["body.0"]),
    ],
)
def test_patterns(graph, scope, left):
    assert free(graph, **scope) == left


def test_reasons_name_the_pattern_and_the_layer(graph):
    groups = units.groups(graph, "channel", include=["body.*", "stem"], exclude=["body.2"])

    assert groups["body.2"].frozen_because == "excluded by 'body.2'"
    groups = units.groups(graph, "channel", include=["body.*"])
    assert groups["stem"].frozen_because == "'stem.weight' is not among include"
    assert groups["head"].frozen_because == "model output"


@pytest.mark.parametrize(("scope", "left"), [("include", []), ("exclude", ["b.0"])])
def test_a_group_of_two_layers(scope, left):
    """`exclude` holds it where any of its layers is named, `include` frees it where all are."""

    def forward(net, x):
        return net.c(net.b(net.a[0](x) + net.a[1](x)))

    parts = {
        "a": nn.ModuleList([linear(6, 8), linear(6, 8)]),
        "b": nn.Sequential(linear(8, 5)),
        "c": linear(5, 4),
    }
    graph = trace(Net(forward, parts), ROWS)
    assert free(graph, **{scope: ["a.1"]}) == left


@pytest.mark.parametrize("granularity", ["channel", "weight"])
@pytest.mark.parametrize("scope", ["include", "exclude"])
def test_a_pattern_that_matches_nothing(graph, granularity, scope):
    with pytest.raises(PlanError, match=r"pattern 'boody\.\*' matches no layer") as caught:
        units.groups(graph, granularity, **{scope: ["body.*", "boody.*"]})
    assert "layers with units: body.0, body.2, head, stem" in caught.value.why


def test_patterns_for_single_weights(graph):
    groups = units.groups(graph, "weight", exclude=["head"])

    assert [name for name, group in groups.items() if group.frozen_because] == ["head.weight"]


def test_an_unknown_granularity(graph):
    with pytest.raises(PlanError, match="there is no granularity 'chanel'") as caught:
        units.groups(graph, "chanel")
    assert caught.value.hint == "did you mean 'channel' or 'activation_channel'?"


def test_names_are_found_by_themselves():
    assert units.names() == [
        "activation", "activation_channel", "block", "channel", "expert", "head", "head_dim",
        "layer", "n:m", "weight", "width",
    ]  # fmt: skip
