"""What every schedule must do. Classes are found by themselves; settings for each stand here."""

import copy
import importlib
import io
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import prunus.schedules
from prunus import Budget, Plan, Pruner, networks
from prunus.schedules import (
    Actions,
    BudgetedRetraining,
    Cubic,
    Dynamic,
    Iterative,
    OneShot,
    Rewind,
    Schedule,
)

for module in pkgutil.iter_modules(prunus.schedules.__path__, "prunus.schedules."):
    importlib.import_module(module.name)

SETTINGS: Mapping[type[Schedule], list[Schedule]] = {
    OneShot: [OneShot(), OneShot(step=4)],
    Iterative: [Iterative(rounds=3, every=2), Iterative(rounds=2, every=3, spacing="linear")],
    Cubic: [Cubic(steps=7, every=2), Cubic(steps=4, begin=2, initial=0.2)],
    Rewind: [Rewind(rounds=2, length=4, to=1), Rewind(rounds=2, length=3, what="rate")],
    Dynamic: [Dynamic(steps=7, every=2), Dynamic(steps=6, every=1, grow="random")],
    BudgetedRetraining: [BudgetedRetraining(steps=5, begin=2)],
}
ALL = [one for each in SETTINGS.values() for one in each]
CASES = [
    pytest.param(schedule, granularity, id=f"{schedule}-{granularity}")
    for schedule in ALL
    for granularity in ("channel", "weight")
    if granularity == "weight" or not schedule.single_weights
]
BUDGETS = {"channel": Budget(units=0.5), "weight": Budget(sparsity=0.7)}
STEPS = 10

each_schedule = pytest.mark.parametrize("schedule", ALL, ids=str)
each_case = pytest.mark.parametrize(("schedule", "granularity"), CASES)


class Training:
    """A training of a small network with momentum and weight decay."""

    def __init__(self, schedule: Schedule, granularity: str, **settings: Any) -> None:
        torch.manual_seed(0)
        self.model = networks.mlp(in_features=16, width=12, classes=4)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01, weight_decay=0.1)
        self.data = [(torch.randn(8, 1, 4, 4), torch.randint(4, (8,))) for _ in range(STEPS)]
        settings.setdefault("budget", BUDGETS[granularity])
        self.pruner = Pruner(
            self.model,
            self.data[0][0],
            schedule=schedule,
            granularity=granularity,
            optimizer=self.optimizer,
            **settings,
        )
        self.plans = [self.pruner.plan]

    def run(self, steps: int) -> "Training":
        for _ in range(steps):
            images, labels = self.data[self.pruner.steps]
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.model(images), labels).backward()
            self.optimizer.step()
            self.pruner.step()
            self.plans.append(self.pruner.plan)
        return self


def removed(plan: Plan) -> dict[str, Tensor]:
    return {name: ~kept.mask() for name, kept in plan.kept.items()}


def number_removed(plan: Plan) -> int:
    return sum(int(gone.sum()) for gone in removed(plan).values())


def zeros_hold(model: nn.Module, plan: Plan) -> bool:
    before = copy.deepcopy(model.state_dict())
    prunus.Masked(model, plan).settle()
    return all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


# -- the contract -----------------------------------------------------------------------------


@each_schedule
@pytest.mark.parametrize("final", [0.1, 0.5, 1.0])
def test_the_share_never_grows_and_ends_at_the_budget(schedule: Schedule, final: float) -> None:
    shares = [schedule.share(step, final=final) for step in range(schedule.last + 3)]
    assert shares == sorted(shares, reverse=True)
    assert all(final <= share <= 1 for share in shares)
    assert all(share == final for share in shares[schedule.choices()[-1] :])


@each_schedule
def test_nothing_happens_after_the_last_step(schedule: Schedule) -> None:
    assert schedule.at(schedule.last) != Actions()
    assert all(schedule.at(schedule.last + more) == Actions() for more in range(1, 30))


@each_case
def test_what_is_removed_stays_zero(schedule: Schedule, granularity: str) -> None:
    training = Training(schedule, granularity)
    for _ in range(STEPS):
        training.run(1)
        assert zeros_hold(training.model, training.pruner.plan)


@each_case
def test_more_and_more_is_removed(schedule: Schedule, granularity: str) -> None:
    plans = Training(schedule, granularity).run(STEPS).plans
    numbers = [number_removed(plan) for plan in plans]
    assert numbers == sorted(numbers)
    for before, after in pairwise(plans):
        stays = {name: after.kept[name].mask() for name in before.kept}
        if not schedule.single_weights:
            assert not any((stays[n] & gone).any() for n, gone in removed(before).items())


@each_case
def test_it_ends_exactly_at_the_budget(schedule: Schedule, granularity: str) -> None:
    pruned = Training(schedule, granularity).run(STEPS).pruner.finish()
    whole = prunus.prune(
        networks.mlp(in_features=16, width=12, classes=4),
        torch.randn(8, 1, 4, 4),
        budget=BUDGETS[granularity],
        granularity=granularity,
    )
    assert number_removed(pruned.plan) == number_removed(whole.plan)
    assert pruned.report.after.params == whole.report.after.params
    assert pruned.report.after.nonzero <= whole.report.after.nonzero


@each_case
def test_the_same_training_gives_the_same_bits(schedule: Schedule, granularity: str) -> None:
    one, other = (Training(schedule, granularity).run(STEPS) for _ in range(2))
    assert same(one, other)


@each_case
@pytest.mark.parametrize(("stop", "model_first"), [(0, True), (5, True), (5, False)])
def test_a_killed_run_resumes(
    schedule: Schedule, granularity: str, stop: int, *, model_first: bool
) -> None:
    whole = Training(schedule, granularity).run(STEPS)
    file = io.BytesIO()
    killed = Training(schedule, granularity).run(stop)
    states = [killed.model.state_dict(), killed.optimizer.state_dict(), killed.pruner.state_dict()]
    torch.save(states, file)
    file.seek(0)
    states = torch.load(file, weights_only=True)

    resumed = Training(schedule, granularity)
    parts = [resumed.model, resumed.optimizer, resumed.pruner]
    for part, state in sorted(
        zip(parts, states, strict=True),
        key=lambda pair: pair[0] is resumed.model,
        reverse=model_first,
    ):
        part.load_state_dict(state)
    assert same(whole, resumed.run(STEPS - stop))


def same(one: Training, other: Training) -> bool:
    """Return whether masks, weights and clocks are the same to the last bit."""
    mine, theirs = one.pruner.plan.kept, other.pruner.plan.kept
    weights = zip(one.model.parameters(), other.model.parameters(), strict=True)
    return (
        mine.keys() == theirs.keys()
        and all(torch.equal(mine[name].bits, theirs[name].bits) for name in mine)
        and all(torch.equal(a, b) for a, b in weights)
        and one.pruner.clock == other.pruner.clock
    )


@each_schedule
def test_it_is_a_frozen_record_and_documented(schedule: Schedule) -> None:
    kind = type(schedule)
    assert is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "Example" in (kind.__doc__ or "")


def test_all_were_found() -> None:
    shipped = {c for c in Schedule.__subclasses__() if c.__module__.startswith("prunus.")}
    assert shipped == set(SETTINGS)


# -- the contract can fail --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Early(Schedule):
    """Wrong on purpose: is done before it has met the budget, and wavers on the way."""

    def at(self, step: int) -> Actions:
        return Actions(choose=step in (1, 2, 3))

    def share(self, step: int, *, final: float) -> float:
        return {1: 0.6, 2: 0.9}.get(step, 0.8) if step else 1.0

    @property
    def last(self) -> int:
        return 3


@dataclass(frozen=True, kw_only=True)
class Restless(Schedule):
    """Wrong on purpose: goes on after its last step."""

    def at(self, step: int) -> Actions:
        return Actions(choose=True)

    def share(self, step: int, *, final: float) -> float:
        return final

    @property
    def last(self) -> int:
        return 3


def test_an_early_one_fails() -> None:
    with pytest.raises(AssertionError):
        test_the_share_never_grows_and_ends_at_the_budget(Early(), 0.5)
    with pytest.raises(AssertionError):
        test_it_ends_exactly_at_the_budget(Early(), "weight")


def test_a_restless_one_fails() -> None:
    with pytest.raises(AssertionError):
        test_nothing_happens_after_the_last_step(Restless())
