"""A plan by removing: smaller tensors, and all else as it was."""

import copy

import pytest
import torch
from models import Net, conv, free_axes, halved, linear, masked, plan_of, weight
from torch import nn

from prunus import networks, shrink, trace
from prunus.errors import PlanError
from prunus.records import Kept, Plan

IMAGES = torch.randn(4, 1, 8, 8)


@pytest.fixture
def model():
    return networks.resnet(width=4)


@pytest.fixture
def plan(model):
    return halved(model, IMAGES)


def shapes(model):
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def test_it_computes_what_the_masked_model_computes(model, plan):
    model.eval()
    torch.testing.assert_close(shrink(model, plan)(IMAGES), masked(model, plan)(IMAGES))


def test_what_stays_is_what_the_plan_keeps():
    model = nn.Sequential(linear(2, 3), linear(3, 2))
    graph = trace(model, torch.ones(1, 2))
    small = shrink(model, plan_of(graph, {"0": torch.tensor([True, False, True])}))

    assert torch.equal(small[0].weight, model[0].weight[[0, 2]])
    assert torch.equal(small[0].bias, model[0].bias[[0, 2]])
    assert torch.equal(small[1].weight, model[1].weight[:, [0, 2]])
    assert torch.equal(small[1].bias, model[1].bias)


def test_the_callers_model_is_untouched(model, plan):
    before = copy.deepcopy(model)
    small = shrink(model, plan)

    assert repr(model) == repr(before)
    assert all(torch.equal(v, before.state_dict()[k]) for k, v in model.state_dict().items())
    ours = {parameter.data_ptr() for parameter in model.parameters()}
    assert not ours & {parameter.data_ptr() for parameter in small.parameters()}


def test_in_place_is_the_same(model, plan):
    small = shrink(model, plan)
    parameters, modules = list(model.parameters()), list(model.modules())
    result = shrink(model, plan, in_place=True)

    assert result is model
    assert list(map(id, model.parameters())) == list(map(id, parameters))
    assert list(model.modules()) == modules
    assert repr(model) == repr(small)
    assert all(torch.equal(v, small.state_dict()[k]) for k, v in model.state_dict().items())


def test_in_place_drops_gradients_of_the_old_shape(model, plan):
    model(IMAGES).sum().backward()
    shrink(model, plan, in_place=True)

    assert model.stem[0].weight.grad is None
    model(IMAGES).sum().backward()
    assert model.stem[0].weight.grad.shape == model.stem[0].weight.shape


def test_the_result_is_plain(model, plan):
    small = shrink(model, plan)

    assert [type(m) for m in small.modules()] == [type(m) for m in model.modules()]
    assert list(shapes(small)) == list(shapes(model))
    assert small.head.in_features == small.head.weight.shape[1] == 8
    assert small.separable.depthwise.groups == small.separable.depthwise.out_channels
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in small.modules())


@pytest.mark.parametrize("in_place", [True, False])
def test_tied_parameters_stay_tied(in_place):
    model = nn.Sequential(linear(6, 8), nn.ReLU(), linear(8, 6), linear(6, 8), linear(8, 4))
    model[3].weight = model[0].weight
    plan = halved(model, torch.ones(2, 6))
    small = shrink(model, plan, in_place=in_place)

    assert small[3].weight is small[0].weight
    assert small[0].weight.shape[0] < 8
    assert small(torch.ones(2, 6)).shape == (2, 4)


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_dtype_survives(model, plan, dtype, in_place):
    small = shrink(model.to(dtype), plan, in_place=in_place)

    assert {v.dtype for v in small.parameters()} == {dtype}
    assert {v.dtype for v in small.buffers()} == {dtype, torch.int64}


@pytest.mark.parametrize("in_place", [True, False])
def test_flags_hooks_and_attributes_survive(model, plan, in_place):
    model.train()
    model.block1.eval()
    weight_ = model.block1.conv1.weight
    weight_.requires_grad_(False)
    weight_.decay = 0.1
    model.note = {"mine": [1]}
    calls = []
    model.head.register_forward_hook(lambda *_: calls.append("head"))
    small = shrink(model, plan, in_place=in_place)

    flags = [(m.training, type(m)) for m in small.modules()]
    assert flags == [(m.training, type(m)) for m in model.modules()]
    assert not small.block1.conv1.weight.requires_grad
    assert small.block1.conv1.weight.decay == 0.1
    assert all(p.requires_grad for n, p in small.named_parameters() if n != "block1.conv1.weight")
    assert small.note == {"mine": [1]}
    small(IMAGES)
    assert calls == ["head"]


@pytest.mark.parametrize("in_place", [True, False])
def test_memory_format_survives(model, plan, in_place):
    small = shrink(model.to(memory_format=torch.channels_last), plan, in_place=in_place)
    for name, parameter in small.named_parameters():
        if parameter.dim() == 4:
            assert parameter.is_contiguous(memory_format=torch.channels_last), name


def test_a_parameter_held_elsewhere_follows():
    model = nn.Sequential(linear(6, 8), linear(8, 4))
    model.favourites = [model[0].weight]
    small = shrink(model, halved(model, torch.ones(2, 6)))

    assert small.favourites[0] is small[0].weight


def test_a_buffer_of_channel_size_is_cut():
    parts = {"a": linear(6, 8), "mask": nn.Buffer(torch.arange(8.0)), "b": linear(8, 4)}
    model = Net(lambda net, x: net.b(net.a(x) * net.mask), parts)
    small = shrink(model, halved(model, torch.ones(2, 6)))

    assert small.mask.tolist() == [1, 3, 5, 7]
    assert dict(small.named_buffers()).keys() == {"mask"}


def test_persistence_of_buffers_survives():
    model = nn.Sequential(linear(6, 8), nn.BatchNorm1d(8), linear(8, 4))
    model.register_buffer("aside", torch.zeros(3), persistent=False)
    small = shrink(model, halved(model, torch.ones(2, 6)))

    assert "aside" not in small.state_dict()
    assert "1.running_mean" in small.state_dict()


def test_the_result_trains_wherever_it_was_made(model, plan):
    with torch.inference_mode():
        small = shrink(model, plan)
    small(IMAGES).sum().backward()

    assert all(p.grad is not None for p in small.parameters())


def test_single_weights_become_zeros_and_no_shape_changes():
    model = nn.Sequential(linear(6, 8), linear(8, 4))
    plan = Plan("weight", {"0.weight": Kept.of(torch.arange(48) % 3 == 0)}, {})
    small = shrink(model, plan)

    assert shapes(small) == shapes(model)
    assert (small[0].weight == 0).sum() == 32
    assert (model[0].weight != 0).all()


def test_a_plan_that_keeps_all_changes_nothing(model):
    graph = trace(model, IMAGES)
    kept = {name: torch.ones(size, dtype=torch.bool) for name, size in free_axes(graph).items()}
    small = shrink(model, plan_of(graph, kept))

    assert all(torch.equal(v, small.state_dict()[k]) for k, v in model.state_dict().items())


def test_twice_is_a_plan_for_another_model(model, plan):
    small = shrink(model, plan)
    before = shapes(small)
    with pytest.raises(PlanError, match="does not fit this model"):
        shrink(small, plan, in_place=True)
    assert shapes(small) == before


def test_a_second_cut_of_the_result(model, plan):
    """Rewinding and iterating prune what was pruned before."""
    small = shrink(model, plan).eval()
    smaller = shrink(small, halved(small, IMAGES))

    assert smaller.stem[0].out_channels == 1
    torch.testing.assert_close(smaller(IMAGES), masked(small, halved(small, IMAGES))(IMAGES))


def test_what_is_not_a_parameter_of_a_layer():
    def forward(net, x):
        return net.b((net.scale * net.a(x)).relu())

    model = Net(forward, {"a": conv(1, 8), "scale": weight(1, 8, 1, 1), "b": conv(8, 2)})
    small = shrink(model, halved(model, IMAGES))

    assert shapes(small)["scale"] == (1, 4, 1, 1)
