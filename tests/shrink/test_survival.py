"""What survives a whole prune, over a table of models; and that the caller's model is as it was."""

import copy
import random

import numpy as np
import pytest
import torch
from models import linear
from torch import nn
from torch.nn.utils import parametrize

import prunus
from prunus import networks

HALF = prunus.Budget(units=0.5)


class Config:
    """What a user keeps beside a model."""

    def __init__(self):
        self.name, self.labels = "mine", {"cat": 0}


class MyLinear(nn.Linear):
    """A subclass must come back as itself."""


def tied():
    model = nn.Sequential(linear(6, 8), nn.ReLU(), linear(8, 6), linear(6, 8), linear(8, 4))
    model[3].weight = model[0].weight
    return model


def shared():
    layer = linear(8, 8)
    return nn.Sequential(linear(6, 8), layer, nn.ReLU(), layer, MyLinear(8, 4))


def normed():
    return nn.Sequential(MyLinear(6, 8), nn.BatchNorm1d(8), nn.PReLU(8), nn.Linear(8, 4))


class Positive(nn.Module):
    def forward(self, weight):
        return weight.abs()


def parametrised():
    model = nn.Sequential(linear(6, 8), nn.ReLU(), linear(8, 4))
    parametrize.register_parametrization(model[0], "weight", Positive())
    return model


VECTORS, IMAGES = torch.randn(3, 6), torch.randn(2, 1, 8, 8)
MODELS = {
    "tied": (tied, VECTORS),
    "shared": (shared, VECTORS),
    "normed": (normed, VECTORS),
    "parametrised": (parametrised, VECTORS),
    "resnet": (networks.resnet, IMAGES),
    "lenet": (networks.lenet, IMAGES),
}


@pytest.fixture(params=MODELS)
def case(request):
    build, inputs = MODELS[request.param]
    model = build()
    model.config = Config()
    return model, inputs


def prune(model, inputs, **options):
    return prunus.prune(model, inputs, budget=HALF, **options)


def facts(model):
    """All that must be equal before and after but for sizes."""
    named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers()]
    first = {id(tensor): name for name, tensor in reversed(named)}
    return {
        "modules": [(n, type(m), m.training) for n, m in model.named_modules()],
        "state": list(model.state_dict()),
        "ties": [(name, first[id(tensor)]) for name, tensor in named],
        "tensors": [(n, type(t), t.dtype, t.device, t.requires_grad) for n, t in named],
        "config": vars(model.config),
    }


def numel(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("in_place", [True, False])
def test_all_but_sizes_survives(case, in_place):
    model, inputs = case
    next(model.parameters()).requires_grad_(False)
    list(model.modules())[1].eval()
    before, size = facts(model), numel(model)
    small = prune(model, inputs, in_place=in_place).model

    assert facts(small) == before
    assert numel(small) < size


def test_the_callers_model_and_its_surroundings_are_as_they_were(case):
    model, inputs = case
    before = copy.deepcopy(model)
    attributes = [list(vars(module)) for module in model.modules()]
    tensors = [(id(t), t.data_ptr()) for t in model.state_dict(keep_vars=True).values()]
    prune(model, inputs)

    assert facts(model) == facts(before)
    assert repr(model) == repr(before)
    assert [list(vars(module)) for module in model.modules()] == attributes
    now = model.state_dict(keep_vars=True).values()
    assert [(id(t), t.data_ptr()) for t in now] == tensors
    assert all(
        torch.equal(one, other)
        for one, other in zip(now, before.state_dict().values(), strict=True)
    )


def test_random_state_is_as_it_was(case):
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    prune(*case)

    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_survives_a_whole_prune(case, dtype):
    model, inputs = case
    small = prune(model.to(dtype), inputs.to(dtype)).model

    assert {parameter.dtype for parameter in small.parameters()} == {dtype}
    assert small(inputs.to(dtype)).dtype == dtype


def test_hooks_run_once_per_call_of_the_result(case):
    model, inputs = case
    calls = []
    model.register_forward_hook(lambda *_: calls.append("after"))
    model.register_forward_pre_hook(lambda *_: calls.append("before"))
    small = prune(model, inputs).model
    calls.clear()
    small(inputs)

    assert calls == ["before", "after"]


def test_the_result_has_a_config_of_its_own(case):
    model, inputs = case
    small = prune(model, inputs).model

    assert small.config is not model.config
    assert small.config.labels == {"cat": 0}


def test_the_result_learns(case):
    model, inputs = case
    small = prune(model, inputs).model
    optimizer = torch.optim.SGD(small.parameters(), lr=0.1)
    small(inputs).square().mean().backward()
    optimizer.step()

    assert all(p.grad is not None and p.grad.shape == p.shape for p in small.parameters())
