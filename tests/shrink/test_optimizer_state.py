"""Training goes on with the same optimizer, as it would have with the masked model."""

import copy

import pytest
import torch
from models import halved
from torch import nn

from prunus import Masked, shrink
from prunus.errors import PlanError
from prunus.shrink import rebind

INPUTS, TARGETS = torch.randn(16, 6, dtype=torch.float64), torch.randint(4, (16,))

OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    "Adam": {"lr": 0.01, "weight_decay": 0.01, "amsgrad": True},
    "AdamW": {"lr": 0.01},
    "RMSprop": {"lr": 0.01, "momentum": 0.9, "centered": True},
    "Adadelta": {},
}


def network():
    torch.manual_seed(0)
    layers = (
        nn.Linear(6, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Linear(8, 8),
        nn.Tanh(),
        nn.Linear(8, 4),
    )
    return nn.Sequential(*layers).double()


def train(model, optimizer, *, steps=4):
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(INPUTS), TARGETS).backward()
        optimizer.step()
    return model


def started(name):
    model = network()
    optimizer = getattr(torch.optim, name)(model.parameters(), **OPTIMIZERS[name])
    return train(model, optimizer), optimizer


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_as_with_the_masked_model(name, in_place):
    model, optimizer = started(name)
    plan = halved(model, INPUTS)
    twin = copy.deepcopy(model)
    other = getattr(torch.optim, name)(twin.parameters(), **OPTIMIZERS[name])
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    Masked(twin, plan).hold(other)
    small = shrink(model, plan, in_place=in_place, optimizer=optimizer)

    train(small, optimizer)
    train(twin, other)
    for one, dense in zip(small.parameters(), shrink(twin, plan).parameters(), strict=True):
        torch.testing.assert_close(one, dense, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("in_place", [True, False])
def test_state_is_cut_along_the_same_indices(in_place):
    model, optimizer = started("Adam")
    plan = halved(model, INPUTS)
    before = {name: optimizer.state[p]["exp_avg"].clone() for name, p in model.named_parameters()}
    small = shrink(model, plan, in_place=in_place, optimizer=optimizer)
    after = {name: optimizer.state[p] for name, p in small.named_parameters()}

    assert torch.equal(after["0.weight"]["exp_avg"], before["0.weight"][1::2])
    assert torch.equal(after["3.weight"]["exp_avg"], before["3.weight"][1::2, 1::2])
    assert torch.equal(after["5.bias"]["exp_avg"], before["5.bias"])
    assert all(state["step"] == 4 for state in after.values())


@pytest.mark.parametrize("in_place", [True, False])
def test_the_optimizer_holds_the_parameters_of_the_result_in_their_groups(in_place):
    model = network()
    biases = [p for p in model.parameters() if p.dim() == 1]
    matrices = [p for p in model.parameters() if p.dim() == 2]
    optimizer = torch.optim.SGD(
        [{"params": matrices, "weight_decay": 0.1}, {"params": biases, "lr": 0.5}], lr=0.1
    )
    small = shrink(model, halved(model, INPUTS), in_place=in_place, optimizer=optimizer)
    one, other = optimizer.param_groups

    assert [id(p) for p in one["params"]] == [id(p) for p in small.parameters() if p.dim() == 2]
    assert [id(p) for p in other["params"]] == [id(p) for p in small.parameters() if p.dim() == 1]
    assert (one["weight_decay"], other["lr"]) == (0.1, 0.5)


def test_parameters_of_others_are_left_alone():
    model, aside = network(), nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([*model.parameters(), aside], lr=0.1, momentum=0.9)
    aside.grad = torch.ones(3)
    optimizer.step()
    shrink(model, halved(model, INPUTS), optimizer=optimizer)

    assert optimizer.param_groups[0]["params"][-1] is aside
    assert aside in optimizer.state


def test_state_that_is_kept_per_row_is_cut_too():
    model = network().float()
    optimizer = torch.optim.Adafactor(model.parameters())
    inputs = INPUTS.float()
    nn.functional.cross_entropy(model(inputs), TARGETS).backward()
    optimizer.step()
    small = shrink(model, halved(model, inputs), optimizer=optimizer)
    assert optimizer.state[small[0].weight]["row_var"].shape == (4, 1)
    assert optimizer.state[small[0].weight]["col_var"].shape == (1, 6)

    nn.functional.cross_entropy(small(inputs), TARGETS).backward()
    optimizer.step()


@pytest.mark.parametrize("in_place", [True, False])
def test_state_of_another_shape_is_refused_before_anything_changes(in_place):
    model, optimizer = started("SGD")
    optimizer.state[model[0].weight]["preconditioner"] = torch.eye(5)
    plan, before = halved(model, INPUTS), copy.deepcopy(model.state_dict())
    with pytest.raises(PlanError, match=r"'preconditioner' of '0.weight' has shape \(5, 5\)"):
        shrink(model, plan, in_place=in_place, optimizer=optimizer)

    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert optimizer.param_groups[0]["params"][0] is model[0].weight


def test_rebind_after_the_cut():
    model, optimizer = started("AdamW")
    plan = halved(model, INPUTS)
    small = shrink(model, plan)
    rebind(optimizer, model, small, plan)

    assert optimizer.state[small[0].weight]["exp_avg"].shape == (4, 6)
    train(small, optimizer, steps=1)


def test_a_schedule_goes_on():
    model, optimizer = started("SGD")
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    small = shrink(model, halved(model, INPUTS), optimizer=optimizer)
    train(small, optimizer, steps=1)
    schedule.step()

    assert optimizer.param_groups[0]["lr"] == 0.05


def test_a_loss_that_is_still_there_does_not_stop_the_training_in_place():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    x = torch.ones(3, 4)
    loss = model(x).sum()
    loss.backward()

    shrink(model, halved(model, x), in_place=True)
    model(x).sum().backward()

    assert model[0].weight.grad.shape == (4, 4)
    assert loss.requires_grad
