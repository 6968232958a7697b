"""What every step of a recovery must pass. They are found by themselves."""

import copy
import importlib
import pkgutil
import re
from dataclasses import dataclass
from functools import cache
from itertools import chain
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import prunus
from prunus.recover import RECOVERIES, Cut, Given, Recovery, Training

ROWS = torch.randn(48, 6, generator=torch.Generator().manual_seed(0)) + 0.5
DATA = [(batch, batch[:, :3].argmax(1)) for batch in ROWS.split(16)]
RECIPE = prunus.Recipe(epochs=2, lr=0.05)
BUDGETS = {"channel": prunus.Budget(units=0.5), "weight": prunus.Budget(sparsity=0.5)}
NEEDS_UNITS = {"fold_twins", "least_squares"}  # single weights leave their layers all inputs

each_step = pytest.mark.parametrize(
    "step", [pytest.param(kind(), id=name) for name, kind in RECOVERIES.items()]
)


class Net(nn.Module):
    """Batch norm, dropout, a hook and a frozen layer, in flags of its own."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(6, 12), nn.BatchNorm1d(12)
        self.drop, self.last = nn.Dropout(0.2), nn.Linear(12, 3)

    def forward(self, rows):
        return self.last(self.drop(torch.relu(self.norm(self.first(rows)))))


def pruned_at(granularity: str) -> prunus.Pruned:
    return copy.deepcopy(_pruned_at(granularity))


@cache
def _pruned_at(granularity: str) -> prunus.Pruned:
    torch.manual_seed(0)
    dense = Net()
    prunus.fit(dense, DATA, loss=nn.CrossEntropyLoss(), recipe=RECIPE)
    dense.train()
    dense.norm.eval()
    budget = BUDGETS[granularity]
    return prunus.prune(dense, ROWS[:2], budget=budget, granularity=granularity)


def recovered(step: Recovery, pruned: prunus.Pruned, *, seed: int = 0) -> int:
    given = {"loss": nn.CrossEntropyLoss(), "recipe": RECIPE, "seed": seed}
    return prunus.recover(pruned, [step], data=DATA, **given)[0].changed


def state_of(model: nn.Module) -> dict:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(before: dict, after: dict) -> bool:
    return before.keys() == after.keys() and all(map(torch.equal, before.values(), after.values()))


def furniture(model: nn.Module) -> list:
    """All of a model but its numbers: flags, hooks, attributes, which tensors it holds."""
    return [
        (
            name,
            type(module),
            module.training,
            sorted(vars(module)),
            [len(value) for key, value in vars(module).items() if key.endswith("hooks")],
            [(id(p), p.shape, p.requires_grad) for p in module.parameters(recurse=False)],
            [(id(b), b.shape) for b in module.buffers(recurse=False)],
        )
        for name, module in model.named_modules()
    ]


def error_of(pruned: prunus.Pruned) -> float:
    """How far the one layer that lost inputs is from the dense one, on the data."""
    with torch.no_grad():
        outputs = [copy.deepcopy(m).eval()(ROWS) for m in (pruned.model, pruned.dense)]
    return (outputs[0] - outputs[1]).square().mean().item()


# -- the contract -----------------------------------------------------------------------------


def check_changes_something_and_says_how_much(step, granularity):
    pruned = pruned_at(granularity)
    before = state_of(pruned.model)
    assert recovered(step, pruned) > 0
    assert not same(before, state_of(pruned.model))


def check_leaves_all_but_numbers_as_they_were(step, granularity):
    pruned = pruned_at(granularity)
    pruned.model.drop.eval()
    pruned.model.last.register_forward_hook(lambda *_: None)
    before = furniture(pruned.model)
    recovered(step, pruned)
    assert furniture(pruned.model) == before
    assert all(weight.grad is None for weight in pruned.model.parameters())


def check_leaves_frozen_weights_alone(step, granularity):
    if not isinstance(step, Training):
        return  # without gradients there is nothing that freezing would switch off
    pruned = pruned_at(granularity)
    pruned.model.first.requires_grad_(False)
    before = pruned.model.first.weight.clone()
    recovered(step, pruned)
    assert torch.equal(pruned.model.first.weight, before)


def check_leaves_the_dense_model_as_it_was(step, granularity):
    pruned = pruned_at(granularity)
    before, numbers = furniture(pruned.dense), state_of(pruned.dense)
    recovered(step, pruned)
    assert furniture(pruned.dense) == before
    assert same(numbers, state_of(pruned.dense))


def check_holds_zeros(step, granularity):
    if granularity != "weight":
        return
    pruned = pruned_at(granularity)
    recovered(step, pruned)
    parameters = dict(pruned.model.named_parameters())
    for name, kept in pruned.plan.kept.items():
        assert (parameters[name].flatten()[~kept.mask()] == 0).all(), name


def check_stays_finite(step, granularity):
    pruned = pruned_at(granularity)
    recovered(step, pruned)
    assert all(value.isfinite().all() for value in pruned.model.state_dict().values())


def check_the_same_seed_gives_the_same_model(step, granularity):
    found = []
    for noise in (1, 2):
        pruned = pruned_at(granularity)
        torch.manual_seed(noise)
        recovered(step, pruned, seed=3)
        found.append(state_of(pruned.model))
    assert same(*found)


def check_leaves_the_random_state_as_it_was(step, granularity):
    pruned = pruned_at(granularity)
    before = torch.get_rng_state()
    recovered(step, pruned)
    assert torch.equal(torch.get_rng_state(), before)


def check_comes_closer_where_it_says_so(step, granularity):
    if not step.closer:
        return
    pruned = pruned_at(granularity)
    before = error_of(pruned)
    recovered(step, pruned)
    assert error_of(pruned) <= before


CHECKS = [check for name, check in list(globals().items()) if name.startswith("check_")]


@each_step
@pytest.mark.parametrize("granularity", BUDGETS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])
def test_contract(check, granularity, step):
    if granularity == "weight" and type(step) in {RECOVERIES[name] for name in NEEDS_UNITS}:
        with pytest.raises(prunus.PruneError, match="single weights were zeroed"):
            recovered(step, pruned_at(granularity))
    else:
        check(step, granularity)


@each_step
@pytest.mark.parametrize("words", ["Source:", "Counts ", "Data: ", "Cost: ", "Example:"])
def test_docstring_has(step, words):
    assert re.search(rf"\b{words}", type(step).__doc__)


def test_every_step_is_listed():
    package = importlib.import_module("prunus.recover.run").__package__
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        importlib.import_module(module.name)
    kinds = {*Recovery.__subclasses__(), *Training.__subclasses__()} - {Training}
    mine = {kind for kind in kinds if kind.__module__.startswith("prunus.")}
    assert mine == set(RECOVERIES.values())


# -- the contract can fail --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Careless(Recovery):
    """Draws new weights, forgets a hook and which flag was set, and revives zeros."""

    closer = True

    def run(self, cut: Cut, given: Given) -> int:
        cut.model.eval()
        cut.model.last.register_forward_hook(lambda *_: None)
        with torch.no_grad():
            for weight in cut.model.parameters():
                weight.add_(torch.randn(weight.shape, generator=SHARED.generator))
        return 1


@dataclass(frozen=True, kw_only=True)
class Greedy(Training):
    """Trains the dense model instead, and counts nothing."""

    compares = True

    def run(self, cut: Cut, given: Given) -> int:
        for weight in chain(cut.dense.parameters(), cut.model.first.parameters()):
            weight.data.add_(1.0)
        return 0


SHARED = SimpleNamespace(generator=torch.Generator())
WRONG = {
    Careless: {
        "leaves_all_but_numbers_as_they_were",
        "holds_zeros",
        "the_same_seed_gives_the_same_model",
        "comes_closer_where_it_says_so",
    },
    Greedy: {
        "changes_something_and_says_how_much",
        "leaves_the_dense_model_as_it_was",
        "leaves_frozen_weights_alone",
    },
}


@pytest.mark.parametrize(("kind", "failures"), WRONG.items())
def test_a_wrong_step_fails(kind, failures):
    failed = set()
    for check in CHECKS:
        SHARED.generator.manual_seed(0)
        for granularity in BUDGETS:
            try:
                check(kind(), granularity)
            except AssertionError:
                failed.add(check.__name__.removeprefix("check_"))
    assert failures <= failed
