"""One run of a study: from the dense model to a small one, measured at every step.

Everything that is random in a run follows its seed, so that a run is the same whatever ran before
it.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from torch import nn

from prunus import api
from prunus.api import Pruned
from prunus.cost import count, measure_latencies
from prunus.recover import (
    BatchNorm,
    FineTune,
    LogitDistillation,
    Recovery,
    Training,
    get,
    recover,
)
from prunus.study.during import pruned_during
from prunus.study.models import keep, weigh
from prunus.study.penalise import penalised
from prunus.study.reading import Calibration, Seeded, seeded
from prunus.study.records import Run
from prunus.study.scratch import budget_of_same_cost, forget
from prunus.study.setting import Job, Setting
from prunus.study.strategy import shares_epochs
from prunus.train import fit
from prunus.verify import compare

_TIMED_RUNS = 15


@dataclass(frozen=True, kw_only=True)
class _Made:
    """A small model, and what was measured on the way to it."""

    pruned: Pruned
    accuracy_cut: float | None = None
    accuracy_batch_norm: float | None = None
    score_seconds: float | None = None
    penalty_seconds: float | None = None
    recover_seconds: float
    steps: int


def run(setting: Setting, job: Job, *, score_bytes: int | None, dense_file_bytes: int) -> Run:
    """Do one run, and keep its model where its tensors are smaller than the dense ones.

    Args:
        setting: What all runs share.
        job: What this one is.
        score_bytes: From `ScoreMemory`.
        dense_file_bytes: Of the dense model; zeroed weights leave the file as large as it was.

    Raises:
        BudgetError: No plan meets the budget.
        PruneError: Anything else that stops a run.
    """
    with seeded(job.seed):
        made = _way(job)(setting, job)
    model, report = made.pruned.model, made.pruned.report
    values_N = setting.measure(model)
    comparison = asdict(
        compare(setting.dense_N, values_N, margin=setting.margin, metric=setting.metric_name)
    )
    cost = count(model, macs=report.after.macs)
    dense, small = measure_latencies([setting.dense, model], setting.timed, runs=_TIMED_RUNS)
    folder = None
    if not made.pruned.plan.zeroes:
        folder = keep(made.pruned, job=job, folder=setting.folder, comparison=comparison)
    return Run(
        **setting.aim(job),
        needs=job.strategy.needs,
        accuracy_dense=comparison["before"],
        accuracy_cut=made.accuracy_cut,
        accuracy_batch_norm=made.accuracy_batch_norm,
        accuracy=comparison["after"],
        comparison=comparison,
        params=cost.params,
        nonzero=cost.nonzero,
        macs=cost.macs,
        bytes=cost.bytes,
        file_bytes=weigh(setting.folder / folder) if folder else dense_file_bytes,
        latency=small.median,
        latency_dense=dense.median,
        score_seconds=made.score_seconds,
        score_bytes=score_bytes,
        penalty_seconds=made.penalty_seconds,
        recover_seconds=made.recover_seconds,
        agreement=report.agreement.difference if report.agreement else None,
        kept={row.name: (row.kept, row.size) for row in report.groups if not row.frozen_because},
        folder=folder,
        steps=made.steps,
    )


def _way(job: Job) -> Callable[[Setting, Job], _Made]:
    if job.strategy.from_scratch:
        return _from_scratch
    return _pruned if job.strategy.during is None else _during


def _during(setting: Setting, job: Job) -> _Made:
    """Prune the dense model while it trains, over the epochs that others recover in."""
    pruned, history = pruned_during(setting, job)
    return _Made(pruned=pruned, recover_seconds=history.seconds, steps=history.steps)


def _pruned(setting: Setting, job: Job) -> _Made:
    """Cut the dense model, after a training under a penalty where the strategy has one; recover."""
    start, first, trained = setting.dense, None, 0
    if job.strategy.penalty is not None:
        start, first = penalised(setting, job, job.strategy.penalty)
        trained = setting.epochs["penalty"]
    pruned = _cut(setting, job, start)
    seconds = pruned.report.seconds
    accuracy_cut = setting.accuracy(pruned.model)
    accuracy_batch_norm, recover_seconds, steps = _recovered(
        setting, job, pruned, _steps(setting, job),
        trained=trained, epochs=setting.recipe.epochs - trained,
    )  # fmt: skip
    return _Made(
        pruned=pruned,
        accuracy_cut=accuracy_cut,
        accuracy_batch_norm=accuracy_batch_norm,
        score_seconds=seconds["score"] + seconds["choose"] + seconds.get("solve", 0),
        penalty_seconds=first.seconds if first else None,
        recover_seconds=recover_seconds,
        steps=steps + (first.steps if first else 0),
    )


def _cut(setting: Setting, job: Job, model: nn.Module) -> Pruned:
    return api.prune(
        model,
        setting.inputs,
        budget=job.budget,
        criterion=job.strategy.criterion_for(job.seed),
        granularity=job.strategy.granularity,
        allocation=job.strategy.allocation,
        schedule=job.strategy.schedule,
        data=setting.calibration(job.seed),
        loss=setting.loss,
        include=setting.include,
        exclude=setting.exclude,
        latency_table=setting.table_of(job),
    )


def _from_scratch(setting: Setting, job: Job) -> _Made:
    """Take a dense network of the cost that the budget leaves, with new weights; train it.

    It goes through what the pruned ones went through: the training of the dense model, without a
    teacher, and then the recovery.
    """
    budget = budget_of_same_cost(setting.planner(setting.dense, job))
    strategy = replace(job.strategy, granularity="channel", allocation="uniform")
    pruned = _cut(setting, replace(job, strategy=strategy, budget=budget), setting.dense)
    trained = setting.dense_epochs
    first = fit(
        forget(pruned.model),
        Seeded(setting.train, seed=job.seed),
        loss=setting.loss,
        recipe=replace(setting.recipe, epochs=trained),
        seed=job.seed,
    )
    _, seconds, steps = _recovered(
        setting, job, pruned, _training(setting), trained=trained, epochs=setting.recipe.epochs
    )
    return _Made(pruned=pruned, recover_seconds=first.seconds + seconds, steps=first.steps + steps)


def _steps(setting: Setting, job: Job) -> list[Recovery]:
    """Return the steps of the recovery: those of the strategy, else the usual ones."""
    if job.strategy.recovery is not None:
        return [get(step) for step in job.strategy.recovery]
    return [BatchNorm(), *_training(setting)]


def _training(setting: Setting) -> list[Recovery]:
    return [FineTune() if setting.teacher is None else LogitDistillation()]


def _recovered(
    setting: Setting,
    job: Job,
    pruned: Pruned,
    steps: Sequence[Recovery],
    *,
    trained: int,
    epochs: int,
) -> tuple[float | None, float, int]:
    """Recover a model that was cut; of this run's data `trained` epochs were read before.

    The steps that train and have no recipe of their own share the epochs.

    Returns:
        The accuracy after batch norms were first measured, None where none were; the seconds; and
        the steps of training.
    """
    accuracy, seconds, taken = None, 0.0, 0
    sharing = sum(shares_epochs(step) for step in steps)
    for step in steps:
        data: Seeded | Calibration = setting.calibration(job.seed)
        if isinstance(step, Training):
            recipe = step.recipe or replace(setting.recipe, epochs=-(-epochs // sharing))
            if step.recipe is None:
                epochs, sharing = epochs - recipe.epochs, sharing - 1
            step = replace(step, recipe=recipe)
            data = Seeded(setting.train, seed=job.seed, epoch=trained)
            trained += recipe.epochs
        (done,) = recover(pruned, [step], data=data, loss=setting.loss, seed=job.seed)
        seconds += done.seconds
        taken += done.changed if isinstance(step, Training) else 0
        if isinstance(step, BatchNorm) and done.changed and accuracy is None:
            accuracy = setting.accuracy(pruned.model)
    return accuracy, seconds, taken
