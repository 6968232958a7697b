import copy
from itertools import pairwise

import pytest
import torch
from torch import nn

from prunus.data import Batches, Examples
from prunus.errors import TrainError
from prunus.masks import Masked
from prunus.records import Kept, Plan
from prunus.trace import trace
from prunus.train import Recipe, Step, fit
from prunus.train.penalties import (
    L1,
    L2,
    PENALTIES,
    Controller,
    GReg2,
    Slimming,
    norms_of,
    owned_by,
)
from prunus.units import channel, weight

RECIPE = Recipe(epochs=25, lr=0.05, weight_decay=0.0)


def network(*, norm: bool = False) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)]
    if norm:
        layers[3:3] = [nn.BatchNorm1d(16)]
        layers[1:1] = [nn.BatchNorm1d(16)]
    return nn.Sequential(*layers)


def batches() -> Batches:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 6, generator=generator)
    return Batches(Examples(inputs, inputs[:, :3].argmax(1)), batch_size=16, shuffle=True)


def groups_of(model: nn.Module, granularity=channel):
    groups = granularity.groups(trace(model, torch.zeros(2, 6)))
    return {name: group for name, group in groups.items() if group.frozen_because is None}


def select_for(model: nn.Module, groups, penalty=None, *, keep: float = 0.5):
    """Return what keeps the larger units of each group."""
    owned = (penalty or L2()).owned(model, groups)

    def select() -> dict[str, Kept]:
        kept = {}
        for name, parts in owned.items():
            norm_U = norms_of(parts).detach()
            kept[name] = Kept.of(norm_U >= norm_U.quantile(1 - keep))
        return kept

    return select


def steered(penalty, model: nn.Module, *, granularity=channel, **settings) -> Controller:
    groups = groups_of(model, granularity)
    controller = Controller(penalty, groups, select_for(model, groups, penalty), **settings)
    fit(model, batches(), loss=nn.CrossEntropyLoss(), recipe=RECIPE, hooks=[controller])
    return controller


def step(index: int, steps: int = 100) -> Step:
    return Step(index=index, steps=steps, epoch=0, lr=0.1, loss=1.0)


each_penalty = pytest.mark.parametrize("kind", PENALTIES.values(), ids=PENALTIES)
each_penalty_at_its_levels = pytest.mark.parametrize(
    ("kind", "granularity"),
    [
        pytest.param(kind, granularity, id=f"{name}-{granularity.__name__.rpartition('.')[2]}")
        for name, kind in PENALTIES.items()
        for granularity in (channel, weight)
        if not (kind is Slimming and granularity is weight)
    ],
)


@each_penalty_at_its_levels
def test_hardly_anything_is_left_of_the_doomed(kind, granularity):
    model = network(norm=kind is Slimming)
    steering = steered(kind(), model, granularity=granularity).steering()
    assert steering.checks[0].share > 0.03
    assert steering.share < 0.002


@each_penalty
def test_a_cut_then_changes_next_to_nothing(kind):
    """But for the constants that batch norms with a scale of zero let through."""
    model = network(norm=kind is Slimming)
    controller = steered(kind(), model)
    inputs = batches().examples.inputs
    model.eval()
    if kind is Slimming:
        for norm in (model[1], model[4]):
            nn.init.zeros_(norm.bias)
    before = model(inputs).detach()
    kept = controller.select()
    Masked(model, Plan("channel", kept, trace_extents(model)))
    assert (model(inputs) - before).norm() < 0.1 * before.norm()
    assert kept.keys() == controller.groups.keys()


def trace_extents(model):
    return {name: value.extents for name, value in trace(model, torch.zeros(2, 6)).tensors.items()}


@each_penalty
@pytest.mark.parametrize("strength", [1e-9, 1e-1])
def test_any_start_will_do(kind, strength):
    model = network(norm=kind is Slimming)
    assert steered(kind(strength=strength), model).steering().share < 0.002


def test_all_units_are_pulled_before_the_doomed_are_told_apart():
    model = network()
    groups = groups_of(model, weight)
    controller = Controller(GReg2(alike=0.5), groups, select_for(model, groups))
    controller.start(model, torch.optim.SGD(model.parameters()))
    kept_U = controller.select()["0.weight"].mask()
    norms = []
    for index in range(10, 80):
        controller.after_step(step(index))
        norms.append(model[0].weight.detach().flatten()[kept_U].norm().item())
    assert norms[38] < norms[0]  # steps 10 to 48: all
    assert norms[39] == norms[-1]  # from step 49 on, half of the training: the doomed alone


def test_the_share_falls_evenly():
    checks = steered(L2(), network()).steering().checks
    ramp = [check.share for check in checks if 14 < check.step < 70]
    falls = [before / after for before, after in pairwise(ramp)]
    assert max(falls) < 3 * min(falls)


def test_the_first_tenth_is_left_alone():
    model = network()
    groups = groups_of(model)
    controller = Controller(L1(), groups, select_for(model, groups))
    controller.start(model, torch.optim.SGD(model.parameters()))
    before = copy.deepcopy(list(model.parameters()))
    controller.after_step(step(9))
    assert all(map(torch.equal, model.parameters(), before))
    controller.after_step(step(10))
    assert not all(map(torch.equal, model.parameters(), before))


def test_waits_for_a_learning_rate_above_zero():
    model = network()
    groups = groups_of(model)
    controller = Controller(L1(), groups, select_for(model, groups))
    controller.start(model, torch.optim.SGD(model.parameters()))
    for index in (10, 11):
        controller.after_step(Step(index=index, steps=100, epoch=0, lr=0.0, loss=1.0))
    controller.after_step(step(12))
    assert [check.step for check in controller.steering().checks] == [12]


def test_late_checks_never_raise_the_strength():
    model = network()
    groups = groups_of(model)
    controller = Controller(L1(), groups, select_for(model, groups), checks=50)
    controller.start(model, torch.optim.SGD(model.parameters()))
    for index in range(100):
        controller.after_step(step(index))
    late = [check.strength for check in controller.steering().checks if check.step > 70]
    assert late == sorted(late, reverse=True)


def test_looks_as_often_as_asked():
    checks = steered(L1(), network(), checks=10).steering().checks
    assert [check.step for check in checks] == list(range(10, 100, 10))


@pytest.mark.parametrize(("spare", "untouched"), [(0.0, True), (0.5, False)])
def test_kept_weights_are_spared_as_asked(spare, untouched):
    model = network()
    groups = groups_of(model, weight)
    controller = Controller(L2(), groups, select_for(model, groups), spare=spare)
    controller.start(model, torch.optim.SGD(model.parameters()))
    kept_U = controller.select()["0.weight"].mask()
    before = model[0].weight.detach().flatten().clone()
    controller.after_step(step(10))
    after = model[0].weight.detach().flatten()
    assert torch.equal(after[kept_U], before[kept_U]) == untouched
    assert (after[~kept_U].abs() < before[~kept_U].abs()).all()


def test_groups_left_out_keep_all_their_units():
    model = network()
    groups = groups_of(model)
    first = next(iter(groups))
    controller = Controller(L1(), groups, lambda: {first: Kept.of(torch.arange(16) < 8)})
    fit(model, batches(), loss=nn.CrossEntropyLoss(), recipe=RECIPE, hooks=[controller])
    norms = {name: norms_of(parts) for name, parts in owned_by(groups, model).items()}
    assert norms[first][8:].max() < 0.2 * norms[first][:8].max()
    (other,) = set(groups) - {first}
    assert norms[other].min() > 0


def test_when_the_kept_units_collapse_the_strength_gives_way():
    steering = steered(L2(), network(), spare=1.0, target=1e-6).steering()
    strengths = [check.strength for check in steering.checks]
    assert strengths[-1] < max(strengths)


def test_a_second_training_starts_anew():
    controller = steered(L1(), network())
    first = controller.steering()
    model = network()
    controller.select = select_for(model, controller.groups)
    fit(model, batches(), loss=nn.CrossEntropyLoss(), recipe=RECIPE, hooks=[controller])
    assert controller.steering() == first


@pytest.mark.parametrize(
    ("penalty", "settings"),
    [
        (L1(strength=0.0), {}),
        (L1(), {"target": 0.0}),
        (L1(), {"target": 1.0}),
        (L1(), {"spare": 1.5}),
        (L1(), {"checks": 0}),
    ],
)
def test_settings_out_of_range(penalty, settings):
    with pytest.raises(TrainError, match="a controller cannot use strength="):
        Controller(penalty, {}, dict, **settings)
