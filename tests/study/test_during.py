"""Pruning while the model trains, compared with cutting it and then training it as long."""

from pathlib import Path

import pytest
import tiny
from torch import nn

from prunus.allocate import Budget
from prunus.errors import StudyError, TrainError
from prunus.schedules import BudgetedRetraining, Cubic, Dynamic, Iterative, Rewind, scaled
from prunus.schedules.scaled import names
from prunus.study import Strategy
from prunus.study.during import _Pruning, schedule_of
from prunus.study.setting import Job
from prunus.study.strategy import chosen
from prunus.train import learning_rate
from prunus.train.penalties import L1

WEIGHT = {"weight": [Budget(params=0.3)]}
STEPS = 24  # 4 epochs of 6 batches


def job(during, **more):
    strategy = Strategy(name="own", during=during, **more)
    return Job(strategy=strategy, budget=Budget(units=0.5), seed=3)


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("steps", [8, 24, 1000])
def test_a_schedule_by_name_fits_into_its_training(name: str, steps: int) -> None:
    schedule = scaled(name, steps=steps)
    assert steps / 2 < schedule.total <= steps
    assert schedule.choices()[-1] < steps


def test_all_train_for_as_many_steps(tmp_path: Path) -> None:
    study = tiny.study(tmp_path, strategies=["magnitude", "l1", *names()], budgets=WEIGHT)
    assert not study.failures
    steps = {run.strategy: run.steps for run in study.runs}
    assert steps.pop("scratch") == STEPS + 2 * 6
    assert set(steps) == {"magnitude", "l1", "random", *names()}
    assert set(steps.values()) == {STEPS}
    assert all(run.nonzero <= 0.3 * run.params + 1 for run in study.runs if run.kind == "pruned")
    assert tiny.of(study, "rigl").needs == ("data", "labels", "training")


def test_channels_are_removed_in_the_end(tmp_path: Path) -> None:
    study = tiny.study(tmp_path, strategies=["agp", "lottery", "rigl"])
    dense = study.facts.dense["macs"]
    assert [run.strategy for run in study.runs] == ["agp", "lottery", "random", "scratch"]
    for run in study.runs[:2]:
        assert run.macs <= dense / 2
        assert run.agreement is not None
    assert study.runs[0].accuracy > 0.8


def test_what_is_given_as_a_schedule_is_run_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[float] = []
    after_step = _Pruning.after_step

    def spy(self, step) -> None:
        after_step(self, step)
        kept.append(round(self.pruner.kept, 2))

    monkeypatch.setattr(_Pruning, "after_step", spy)
    schedule = Iterative(rounds=2, every=10, spacing="linear")
    own = Strategy(name="own", granularity="weight", allocation="global", during=schedule)
    tiny.study(tmp_path, strategies=[own], budgets={"weight": [Budget(units=0.5)]})
    assert kept == [0.75] * 9 + [0.5] * 15


@pytest.mark.parametrize(
    ("during", "expected"),
    [
        (BudgetedRetraining(steps=STEPS), lambda step: 0.05 * (1 - step / STEPS)),
        (
            Rewind(rounds=1, length=10, to=2),
            lambda step: learning_rate(
                tiny.RECIPE, step=min(step if step < 10 else step - 8, 9), steps=10
            ),
        ),
        (Cubic(steps=4), lambda step: learning_rate(tiny.RECIPE, step=step, steps=STEPS)),
    ],
)
def test_the_learning_rate_is_that_of_the_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, during, expected
) -> None:
    rates: list[float] = []
    after_step = _Pruning.after_step

    def spy(self, step) -> None:
        rates.append(step.lr)
        after_step(self, step)

    monkeypatch.setattr(_Pruning, "after_step", spy)
    tiny.study(tmp_path, strategies=[Strategy(name="own", during=during)])
    assert rates == pytest.approx([expected(step) for step in range(STEPS)])


def test_what_is_drawn_at_random_follows_the_seed_of_the_run() -> None:
    schedule = schedule_of(job("set", granularity="weight"), steps=100)
    assert isinstance(schedule, Dynamic)
    assert (schedule.grow, schedule.seed) == ("random", 3)


def test_a_training_that_is_too_short_is_known_before_the_first_run(tmp_path: Path) -> None:
    long = Strategy(name="long", during=Rewind(rounds=3, length=10))
    with pytest.raises(StudyError, match=r"'long' needs 40 steps of training, and gets 24"):
        tiny.study(tmp_path, strategies=[long])
    assert not list(tmp_path.iterdir())
    with pytest.raises(StudyError, match="'agp' needs a training of 8 steps or more, not 5"):
        schedule_of(job("agp"), steps=5)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"during": "rigl"}, "exchanges single weights"),
        ({"during": "agp", "penalty": L1()}, "it has penalty too"),
        ({"during": "agp", "recovery": ("batch_norm",)}, "it has recovery too"),
        ({"during": "agp", "from_scratch": True}, "it has from_scratch too"),
        ({"during": "agp", "granularity": "activation"}, "fitted to weights that stay"),
        ({"during": "agp", "granularity": "weight", "criterion": "sparsegpt"}, "at once"),
        ({"schedule": Rewind(rounds=1, length=5)}, r"(?s)before the cut.*Strategy\(during=Rewind"),
        ({"schedule": BudgetedRetraining(steps=5)}, "sets rates, goes back or exchanges"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(more, words: str) -> None:
    with pytest.raises(StudyError, match=words):
        Strategy(name="own", **more)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(TrainError, match=r"(?s)no schedule 'rigel'.*did you mean 'rigl'"):
        Strategy(name="own", granularity="weight", during="rigel")


def test_names_of_schedules_are_strategies() -> None:
    assert [s.name for s in chosen(["agp", "set"], "channel")] == ["agp", "random", "scratch"]
    assert chosen(["set"], "weight")[0].during == "set"


def test_the_dense_model_is_left_alone(tmp_path: Path) -> None:
    model = tiny.dense()
    before = [parameter.clone() for parameter in model.parameters()]
    tiny.study(tmp_path, strategies=["agp"], model=model)
    assert all(one.equal(other) for one, other in zip(before, model.parameters(), strict=True))
    assert isinstance(model, nn.Sequential)
