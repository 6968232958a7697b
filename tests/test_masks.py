"""A plan as zeros: exactly there, held through training, and undone bit for bit."""

import copy

import pytest
import torch
from models import halved, masked
from torch import nn

from prunus import Budget, networks, prune
from prunus.errors import PlanError
from prunus.masks import Masked
from prunus.records import Kept, Plan
from prunus.shrink import shrink

IMAGES = torch.randn(4, 1, 8, 8)


@pytest.fixture
def model():
    model = networks.resnet(width=4)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
    return model


def channel_plan(model):
    return halved(model, IMAGES)


def weight_plan(model):
    shapes = {n: p.shape for n, p in model.named_parameters() if p.dim() > 1}
    return Plan("weight", {n: Kept.of(torch.rand(s.numel()) < 0.3) for n, s in shapes.items()}, {})


def expected(model, plan):
    """What a masked model holds, by the plan's own words."""
    if plan.tensors:
        return masked(model, plan).state_dict()
    state = copy.deepcopy(model).state_dict()
    for name, kept in plan.kept.items():
        state[name].view(-1)[~kept.mask()] = 0
    return state


def bits(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        ours, theirs = (each.reshape(-1).view(torch.uint8) for each in (value, other[name]))
        assert torch.equal(ours, theirs), name


each_plan = pytest.mark.parametrize("make", [channel_plan, weight_plan])


@each_plan
def test_zeros_are_where_the_plan_says_and_nowhere_else(model, make):
    plan = make(model)
    wanted = expected(model, plan)
    Masked(model, plan)

    assert_equal(model.state_dict(), wanted)


def test_buffers_are_left_alone(model):
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    Masked(model, channel_plan(model))

    assert all(torch.equal(buffer, buffers[name]) for name, buffer in model.named_buffers())


@each_plan
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_undo_gives_every_bit_back(model, make, dtype):
    model.to(dtype)
    model.head.weight.data.view(-1)[:3] = torch.tensor([-0.0, float("nan"), float("inf")])
    plan = make(copy.deepcopy(model).float())
    before = bits(model)
    Masked(model, plan).undo()

    assert_equal(model.state_dict(), before)


def test_undo_in_another_memory_format(model):
    model.to(memory_format=torch.channels_last)
    before = bits(model)
    Masked(model, channel_plan(model)).undo()

    assert_equal(model.state_dict(), before)
    assert model.block1.conv1.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_end_of_a_with_block_undoes_even_after_an_error(model):
    before = bits(model)
    with pytest.raises(ZeroDivisionError, match="by zero"), Masked(model, channel_plan(model)):
        assert not torch.equal(model.head.weight, before["head.weight"])
        1 / 0  # noqa: B018

    assert_equal(model.state_dict(), before)


# -- training ---------------------------------------------------------------------------------

OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
    "Adam": {"lr": 0.01, "weight_decay": 0.1},
    "AdamW": {"lr": 0.01, "weight_decay": 0.1},
    "RMSprop": {"lr": 0.01, "momentum": 0.9},
    "Adagrad": {"lr": 0.01},
}


def trained(model, optimizer, *, steps=3):
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(IMAGES), torch.arange(4)).backward()
        optimizer.step()


@each_plan
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_zeros_stay_zero_through_training(model, make, name):
    plan = make(model)
    optimizer = getattr(torch.optim, name)(model.parameters(), **OPTIMIZERS[name])
    trained(model, optimizer)  # so that there is momentum
    wanted = {name: value == 0 for name, value in expected(model, plan).items()}
    before = bits(model)
    Masked(model, plan).hold(optimizer)
    trained(model, optimizer)

    for key, parameter in model.named_parameters():
        assert (parameter[wanted[key]] == 0).all()
        assert not (parameter[~wanted[key]] == before[key][~wanted[key]]).all()


def test_without_hold_they_do_not(model):
    plan = channel_plan(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    trained(model, optimizer)
    Masked(model, plan)
    trained(model, optimizer, steps=1)

    assert not torch.equal(model.state_dict()["head.weight"], expected(model, plan)["head.weight"])


def test_release_lets_go_and_leaves_the_zeros(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    mask = Masked(model, weight_plan(model))
    mask.hold(optimizer)
    mask.release()
    zeros = (model.head.weight == 0).sum()
    assert zeros > 0

    trained(model, optimizer)
    assert (model.head.weight == 0).sum() < zeros


def test_two_optimizers_and_a_closure(model):
    plan = weight_plan(model)
    mask = Masked(model, plan)
    body = [p for name, p in model.named_parameters() if name != "head.weight"]
    one, other = torch.optim.SGD(body, lr=0.1), torch.optim.SGD([model.head.weight], lr=0.1)
    mask.hold(one)
    mask.hold(other)
    for optimizer in (one, other):
        optimizer.step(lambda: model(IMAGES).square().sum().backward())

    assert_equal(model.state_dict(), expected(model, plan))


def test_undo_stops_holding(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    mask = Masked(model, weight_plan(model))
    mask.hold(optimizer)
    mask.undo()
    trained(model, optimizer, steps=1)

    assert not (model.head.weight == 0).any()


# -- nothing is attached ----------------------------------------------------------------------


@each_plan
def test_names_hooks_and_copies_are_those_of_a_plain_model(model, make):
    keys = list(model.state_dict())
    modules = [type(module) for module in model.modules()]
    mask = Masked(model, make(model))
    twin = copy.deepcopy(model)

    assert list(model.state_dict()) == list(twin.state_dict()) == keys
    assert [type(module) for module in model.modules()] == modules
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    mask.undo()
    assert (model.head.weight != 0).all()
    assert (twin.head.weight == 0).any()


def test_tied_parameters_are_masked_once_and_undone():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6), nn.Linear(6, 8))
    model[3].weight = model[0].weight
    before = bits(model)
    plan = Plan("weight", {"0.weight": Kept.of(torch.arange(48) % 2 == 0)}, {})
    with Masked(model, plan):
        assert (model[3].weight.view(-1)[1::2] == 0).all()

    assert_equal(model.state_dict(), before)


# -- plans for other models -------------------------------------------------------------------


@each_plan
def test_a_plan_for_another_width(model, make):
    other = networks.resnet(width=8)
    before = bits(other)
    with pytest.raises(
        PlanError, match=r"does not fit this model: '.*' has shape .* the plan is for"
    ):
        Masked(other, make(model))
    assert_equal(other.state_dict(), before)


@each_plan
def test_a_plan_for_another_architecture(model, make):
    with pytest.raises(PlanError, match=r"does not fit this model: '.*' does not exist") as caught:
        Masked(networks.mlp(), make(model))
    assert caught.value.hint == "build the model as it was before pruning"


@pytest.mark.parametrize("apply", [Masked, shrink])
def test_what_is_no_model_or_no_plan(apply):
    model = nn.Linear(4, 2)
    result = prune(model, torch.randn(1, 4), granularity="weight", budget=Budget(units=0.5))

    for plan in (result, "plan.json", None):
        with pytest.raises(PlanError, match=r"plan=.* means nothing\n  why: .*\n  hint: .*\.plan"):
            apply(model, plan)
    for other in (result, "small", None, nn.Linear):
        with pytest.raises(PlanError, match=r"model=.* means nothing\n  why: .*\n  hint: .*dense"):
            apply(other, result.plan)
