"""Pruning while the model trains, as a study compares it.

The schedule goes over the epochs that other strategies recover in, so that all train equally long.
"""

from dataclasses import replace

from torch import nn
from torch.optim import Optimizer

from prunus.api import Pruned
from prunus.criteria import Criterion
from prunus.errors import StudyError, TrainError
from prunus.pruner import Pruner
from prunus.schedules import Dynamic, Schedule, scaled
from prunus.study.reading import Seeded
from prunus.study.setting import Job, Setting
from prunus.trace.restore import copy_of
from prunus.train import History, Hook, Step, fit, learning_rate


def schedule_of(job: Job, *, steps: int) -> Schedule:
    """Return the schedule of a strategy for a training of so many steps, with the run's seed.

    Raises:
        StudyError: The training is shorter than the schedule.
    """
    during = job.strategy.during
    assert during is not None
    try:
        schedule = scaled(during, steps=steps) if isinstance(during, str) else during
    except TrainError as error:
        raise StudyError(error.what, why=error.why, hint=error.hint) from error
    if schedule.total > steps:
        raise StudyError(
            f"'{job.strategy.name}' needs {schedule.total} steps of training, and gets {steps}",
            why=f"the epochs of the recipe have so many, and {schedule!r} goes over them",
            hint="raise recipe.epochs, or a schedule by name, such as during='agp'",
        )
    return replace(schedule, seed=job.seed) if isinstance(schedule, Dynamic) else schedule


def pruned_during(setting: Setting, job: Job) -> tuple[Pruned, History]:
    """Return what the dense model becomes when it is pruned while it trains, and how that went.

    Raises:
        BudgetError: No plan meets the budget.
        TrainError: The training diverged.
    """
    model = copy_of(setting.dense)
    hook = _Pruning(setting, job)
    history = fit(
        model, Seeded(setting.train, seed=job.seed), loss=setting.loss, recipe=setting.recipe,
        teacher=setting.teacher, hooks=[hook], seed=job.seed,
    )  # fmt: skip
    return hook.pruner.finish(), history


class _Pruning(Hook):
    """Steps a Pruner after the optimizer, and takes the learning rate from its schedule."""

    pruner: Pruner

    def __init__(self, setting: Setting, job: Job) -> None:
        self._setting, self._job = setting, job
        self._schedule = schedule_of(job, steps=setting.steps)
        self._sets_rates = any(
            self._schedule.at(step).rate is not None for step in range(self._schedule.last + 1)
        )

    def start(self, model: nn.Module, optimizer: Optimizer) -> None:
        setting, strategy = self._setting, self._job.strategy
        criterion = strategy.criterion_for(self._job.seed)
        assert isinstance(criterion, Criterion), "Strategy refuses solvers here"
        self._optimizer = optimizer
        self.pruner = Pruner(
            model,
            setting.inputs,
            budget=self._job.budget,
            schedule=self._schedule,
            criterion=criterion,
            granularity=strategy.granularity,
            allocation=strategy.allocation,
            optimizer=optimizer,
            data=setting.calibration(self._job.seed),
            loss=setting.loss,
            include=setting.include,
            exclude=setting.exclude,
            latency_table=setting.table_of(self._job),
        )

    def rate(self, step: int) -> float | None:
        if self._sets_rates:
            rate: float = self._optimizer.param_groups[0]["lr"]
            return rate
        horizon = self._schedule.horizon
        if horizon is None:
            return None
        clock = min(self.pruner.clock, horizon - 1)
        return learning_rate(self._setting.recipe, step=clock, steps=horizon)

    def after_step(self, step: Step) -> None:
        self.pruner.step()
