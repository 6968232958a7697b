import math

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from prunus.errors import TrainError
from prunus.networks import resnet
from prunus.train import Recipe, learning_rate, make_optimizer


def rates(recipe: Recipe, steps: int) -> list[float]:
    return [learning_rate(recipe, step=step, steps=steps) for step in range(steps)]


def test_rises_in_a_line_then_falls_along_a_cosine():
    lr = rates(Recipe(lr=2.0, warmup=0.25), 16)
    assert lr[:4] == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert lr[4:] == pytest.approx([1 + math.cos(math.pi * k / 12) for k in range(12)])


def test_without_warm_up_starts_at_the_top():
    assert rates(Recipe(lr=0.5, warmup=0.0), 10)[0] == 0.5


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.9])
def test_short_trainings_have_a_rate_in_range(steps, warmup):
    assert all(0 < lr <= 0.1 for lr in rates(Recipe(lr=0.1, warmup=warmup), steps))


def test_steps_beyond_the_count_stay_at_zero():
    assert learning_rate(Recipe(), step=120, steps=100) == 0.0


@pytest.mark.parametrize(("name", "kind"), [("sgd", SGD), ("adamw", AdamW)])
def test_norms_and_biases_do_not_decay(name, kind):
    model = resnet(width=4)
    optimizer = make_optimizer(model, Recipe(optimizer=name, weight_decay=0.3))
    assert isinstance(optimizer, kind)
    decay = {
        id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]
    }
    for parameter in model.parameters():
        assert decay[id(parameter)] == (0.3 if parameter.dim() >= 2 else 0.0)


def test_only_what_requires_a_gradient_is_trained():
    model = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 1))
    optimizer = make_optimizer(model, Recipe())
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in trained} == {id(p) for p in model[1].parameters()}


def test_momentum_is_the_first_beta():
    optimizer = make_optimizer(nn.Linear(2, 1), Recipe(optimizer="adamw", momentum=0.8))
    assert optimizer.defaults["betas"] == (0.8, 0.999)


def test_nothing_to_train():
    model = nn.Linear(2, 1).requires_grad_(False)
    with pytest.raises(TrainError, match="none requires a gradient"):
        make_optimizer(model, Recipe())


def test_unknown_optimizer_offers_the_nearest():
    with pytest.raises(TrainError, match="did you mean 'adamw'"):
        Recipe(optimizer="adam")


@pytest.mark.parametrize(
    "setting",
    [
        {"epochs": 0},
        {"epochs": 1.5},
        {"lr": "fast"},
        {"lr": 0.0},
        {"lr": torch.nan},
        {"momentum": 1.0},
        {"weight_decay": -1e-4},
        {"warmup": 1.0},
        {"distill": 1.5},
        {"temperature": 0.0},
        {"clip_norm": 0.0},
    ],
    ids=str,
)
def test_a_number_out_of_range_is_named(setting):
    ((name, _),) = setting.items()
    with pytest.raises(TrainError, match=rf"Recipe\({name}=.*\n.*{name} must be"):
        Recipe(**setting)
