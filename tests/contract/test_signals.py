"""What the signals of every criterion must pass: collecting them leaves no trace.

Criteria are found by themselves: a new one, with signals of its own, needs no line here.
"""

import copy
import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prunus import criteria
from prunus.criteria import Criterion
from prunus.records import Groups
from prunus.signals import Request, Signal, Signals, collect
from prunus.trace import trace
from prunus.units import groups

INPUTS = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))

each_criterion = pytest.mark.parametrize(
    "criterion", [pytest.param(criteria.get(name), id=name) for name in criteria.names()]
)


class Residual(nn.Module):
    """A block that can be taken out."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(48, 48)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.layer(x)
        return out


def network(criterion: Criterion) -> tuple[nn.Module, Groups]:
    """A network with convolutions, batch norms, a flatten and dropout; the units it is for."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3),
        nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Sequential(Residual(), Residual()),
        nn.Linear(48, 10),
    )  # fmt: skip
    model[1].running_mean.uniform_(-0.1, 0.1)
    kinds = {signal.units for signal in criterion.needs}
    granularity = {"blocks": "layer", "functions": "activation"}.get(*kinds or {""}, "channel")
    found = groups(trace(model, INPUTS), granularity)
    return model, {name: group for name, group in found.items() if group.frozen_because is None}


class Data:
    """Batches that a loader makes with all three global generators."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(1)
        for _ in range(2):
            noise = (torch.rand(1) + np.random.rand() + random.random()).item()
            inputs = torch.randn(6, 1, 8, 8, generator=generator)
            yield inputs + noise * 1e-3, torch.arange(6)


def collected(criterion: Criterion, model: nn.Module, found: Groups) -> Signals:
    return collect(
        model, found, [criterion], data=Data(), loss=nn.CrossEntropyLoss(), inputs=INPUTS
    )


def states() -> list[object]:
    return [torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()]


# -- the contract -----------------------------------------------------------------------------


@each_criterion
def test_the_model_is_left_as_it_was(criterion):
    model, found = network(criterion)
    model.train()[1].eval()
    model[3].weight.requires_grad_(False)
    model[0].weight.grad = torch.full_like(model[0].weight, 7.0)
    before, names = copy.deepcopy(model), {id(tensor) for tensor in model.parameters()}
    collected(criterion, model, found)
    assert [m.training for m in model.modules()] == [m.training for m in before.modules()]
    assert {id(tensor) for tensor in model.parameters()} == names
    for (name, now), then in zip(model.named_parameters(), before.parameters(), strict=True):
        assert now.requires_grad == then.requires_grad, name
        assert torch.equal(now, then), name
    gradients = {name: tensor.grad for name, tensor in model.named_parameters()}
    assert (gradients.pop("0.weight") == 7).all()
    assert set(gradients.values()) == {None}
    for (name, now), then in zip(model.named_buffers(), before.buffers(), strict=True):
        assert torch.equal(now, then), name
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    assert hooks == [0] * len(hooks)


@each_criterion
def test_random_generators_are_left_alone(criterion):
    model, found = network(criterion)
    before = states()
    collected(criterion, model, found)
    assert states() == before


@each_criterion
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_works_where_the_caller_forbids_gradients(criterion, context):
    model, found = network(criterion)
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    expected = collected(criterion, model, found)
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    with context():
        inside = collected(criterion, model, found)
        score = criteria.scores(criterion, found, inside)[next(iter(found))]
    assert score.isfinite().all()
    for signal, tensors in expected.values.items():
        for name, tensor in tensors.items():
            torch.testing.assert_close(inside.values[signal][name], tensor)


@each_criterion
def test_frozen_parameters_are_scored_like_others(criterion):
    (free, found), (frozen, _) = network(criterion), network(criterion)
    frozen.requires_grad_(False)
    first, second = (
        criteria.scores(criterion, found, collected(criterion, model, found))
        for model in (free, frozen)
    )
    for name in found:
        torch.testing.assert_close(first[name], second[name])


# -- the contract can fail --------------------------------------------------------------------


class Careless(Criterion):
    """Wrong on purpose: its signal trains the model a little, in training mode, with hooks on."""

    def __init__(self, deed):
        self.deed = deed

    @property
    def needs(self):
        return frozenset({Signal(name="x_U", meaning="x", per="group", collector=self.collect)})

    def collect(self, request: Request):
        self.deed(request.model)
        return {signal: {} for signal in request.signals}

    def score(self, group):
        return torch.ones(group.num_units)


@pytest.mark.parametrize(
    "deed",
    [
        lambda model: model.eval(),
        lambda model: model[0].weight.data.add_(1),
        lambda model: model[1].running_mean.add_(1),
        lambda model: model[9](torch.ones(48)).sum().backward(),
        lambda model: model[3].requires_grad_(True),
        lambda model: model[3].register_forward_hook(lambda *_: None),
    ],
)
def test_the_contract_can_fail(deed):
    with pytest.raises(AssertionError):
        test_the_model_is_left_as_it_was(Careless(deed))


def test_the_contract_on_generators_can_fail():
    with pytest.raises(AssertionError):
        test_random_generators_are_left_alone(Careless(lambda _: torch.rand(1)))
