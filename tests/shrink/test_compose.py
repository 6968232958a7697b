"""Two plans in turn as one, and a plan on another model."""

import copy
from dataclasses import replace

import pytest
import torch
from models import halved, linear
from torch import nn

import prunus
from prunus import compose, networks, shrink
from prunus.errors import PlanError
from prunus.extents import Leaf
from prunus.records import Kept, Plan

IMAGES = torch.randn(2, 1, 8, 8)
NETWORKS = {"resnet": networks.resnet, "lenet": networks.lenet}


class Attention(nn.Module):
    """One fused qkv layer with a number of heads that must follow."""

    def __init__(self):
        super().__init__()
        self.num_heads = 8
        self.into, self.qkv, self.out = linear(4, 8), linear(8, 48), linear(16, 4)

    def forward(self, x):
        batch, length, _ = x.shape
        qkv = self.qkv(self.into(x).relu()).view(batch, length, 3, self.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).flatten(2))


def same(one, other):
    mine, theirs = one.state_dict(), other.state_dict()
    assert list(mine) == list(theirs)
    assert repr(one) == repr(other)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def pruned_twice(model, inputs):
    first = halved(model, inputs)
    small = shrink(model, first)
    second = halved(small, inputs)
    return first, second, shrink(small, second)


@pytest.mark.parametrize("name", NETWORKS)
def test_one_plan_does_what_the_two_do(name):
    model = NETWORKS[name]().eval()
    first, second, smaller = pruned_twice(model, IMAGES)
    same(shrink(model, compose(first, second)), smaller)


def test_heads_and_their_attribute():
    model = Attention()
    first, second, smaller = pruned_twice(model, torch.randn(2, 3, 4))
    result = shrink(model, compose(first, second))

    same(result, smaller)
    assert result.num_heads == smaller.num_heads < 8


def test_composing_is_associative():
    model = networks.resnet(width=8)
    first, second, smaller = pruned_twice(model, IMAGES)
    third = halved(smaller, IMAGES)

    one = compose(compose(first, second), third)
    other = compose(first, compose(second, third))
    same(shrink(model, one), shrink(smaller, third))
    same(shrink(model, other), shrink(smaller, third))


def test_groups_that_one_plan_alone_cuts():
    model = nn.Sequential(linear(4, 8), nn.ReLU(), linear(8, 6), nn.ReLU(), linear(6, 2))
    half, x = prunus.Budget(units=0.5), torch.randn(2, 4)
    once = prunus.prune(model, x, budget=half, include=["0"])
    twice = prunus.prune(once.model, x, budget=half, include=["2"])

    plan = compose(once.plan, twice.plan)
    assert plan.counts == {"0": 4, "2": 3}
    same(shrink(model, plan), twice.model)


def test_by_hand():
    tensors = {"a.weight": (Leaf(4, "a"), Leaf(2))}
    first = Plan("channel", {"a": Kept.of(torch.tensor([True, False, True, True]))}, tensors)
    left = {"a.weight": (Leaf(3, "a"), Leaf(2))}
    second = Plan("channel", {"a": Kept.of(torch.tensor([False, True, True]))}, left)

    plan = compose(first, second)
    assert plan.kept["a"].mask().tolist() == [False, False, True, True]
    assert plan.tensors == tensors


def test_single_weights_stay_zero_where_either_plan_says_so():
    first = Plan("weight", {"weight": Kept.of(torch.tensor([True, True, False, False]))}, {})
    second = Plan("weight", {"weight": Kept.of(torch.tensor([True, False, True, False]))}, {})

    assert compose(first, second).kept["weight"].mask().tolist() == [True, False, False, False]


def test_provenance_tells_both():
    first, second = (Plan("channel", {}, {}, provenance={"seed": seed}) for seed in (1, 2))
    assert compose(first, second).provenance == {"seed": 2, "after": {"seed": 1}}


def test_a_composed_plan_is_saved_and_loaded(tmp_path):
    model, half = networks.resnet(width=8).eval(), prunus.Budget(units=0.5)
    once = prunus.prune(model, IMAGES, budget=half)
    twice = prunus.prune(once.model, IMAGES, budget=half)
    plan = compose(once.plan, twice.plan)

    prunus.save_plan(plan, tmp_path / "plan.json")
    same(shrink(model, prunus.load_plan(tmp_path / "plan.json")), twice.model)
    prunus.save(replace(twice, plan=plan), tmp_path / "small")
    same(prunus.load(tmp_path / "small", model=networks.resnet(width=8)), twice.model)


def test_the_wrong_order_is_refused():
    first, second, _ = pruned_twice(networks.resnet(width=8), IMAGES)
    with pytest.raises(PlanError, match="not made for what the first one leaves"):
        compose(second, first)


def test_a_group_of_another_size_is_refused():
    plan = Plan("channel", {"a": Kept.of(torch.tensor([True, False]))}, {"b": (Leaf(2, "a"),)})
    other = replace(plan, tensors={"c": (Leaf(2, "a"),)})
    with pytest.raises(PlanError, match="leaves 1 units of 'a', the second cuts 2"):
        compose(plan, other)


def test_granularities_do_not_mix():
    with pytest.raises(PlanError, match="'channel' plan and a 'weight' plan"):
        compose(Plan("channel", {}, {}), Plan("weight", {}, {}))


def test_units_that_the_first_plan_does_not_know_are_refused():
    first = Plan(
        "channel", {"a": Kept.of(torch.tensor([True, True, False]))}, {"w": (Leaf(3, "a"),)}
    )
    second = Plan("channel", {"b": Kept.of(torch.tensor([True, False]))}, {"w": (Leaf(2, "b"),)})
    with pytest.raises(PlanError, match="dim 0 of 'w' is cut along other units"):
        compose(first, second)


def test_a_plan_applies_to_another_instance():
    model, other = networks.resnet(width=4), networks.resnet(width=4)
    plan = halved(model, IMAGES)
    small = shrink(other, plan)

    assert small.stem[0].weight.shape == shrink(model, plan).stem[0].weight.shape
    kept = plan.kept["stem.0"].mask()
    assert torch.equal(small.stem[0].weight, other.stem[0].weight[kept])


@pytest.mark.parametrize("other", [networks.resnet(width=8), networks.lenet()])
def test_a_plan_on_another_architecture_is_refused(other):
    plan, before = halved(networks.resnet(width=4), IMAGES), copy.deepcopy(other)
    with pytest.raises(PlanError, match="the plan does not fit this model"):
        shrink(other, plan, in_place=True)
    same(other, before)
