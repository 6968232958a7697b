"""A study: every strategy at every budget with several seeds, from one trained dense model."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from prunus.allocate import Budget, check_meaning, default
from prunus.allocate import get as allocator_of
from prunus.criteria.random import Random
from prunus.data import checked
from prunus.errors import BudgetError, DataError, StudyError
from prunus.inputs import Inputs, Loss, device_of
from prunus.planner import Planner
from prunus.recover import get as recovery
from prunus.study.during import schedule_of
from prunus.study.facts import facts_of
from prunus.study.memory import ScoreMemory
from prunus.study.reading import Calibration, Seeded
from prunus.study.records import Facts, Failure, Run, Study
from prunus.study.results import Results, open_results
from prunus.study.run import run
from prunus.study.scratch import check_forgettable
from prunus.study.setting import Job, Setting, key_of
from prunus.study.strategy import Strategy, chosen, shares_epochs
from prunus.train import Recipe
from prunus.units import none_found
from prunus.verify.accuracy import Metric
from prunus.verify.paired import check_margin

Progress: TypeAlias = Callable[[int, int, str], None]


def compare(  # noqa: PLR0913 - all but the first two are keywords
    model: nn.Module,
    example_inputs: Inputs,
    *,
    train: Iterable[Any],
    test: Iterable[Any],
    loss: Loss,
    budgets: Mapping[str, Sequence[Budget]],
    folder: str | Path,
    recipe: Recipe,
    dense_epochs: int,
    margin: float = 0.01,
    strategies: Sequence[str | Strategy] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    metric: str | Metric = "accuracy",
    batches: int | None = None,
    latency_batch: int = 32,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    title: str = "",
    progress: Progress | None = None,
) -> Study:
    """Measure what each pruning strategy costs and buys, on a trained model and its data.

    Two controls are always there: a random choice, and a dense network of the same cost that is
    trained from scratch. Every run starts from the same dense model and gets the same training:
    `recipe.epochs` in all, with the same teacher (the dense model, where the recipe distils). A
    strategy with a penalty spends half of them under the penalty, before the cut; one that names
    its recovery gets that instead, its training steps sharing the epochs; one with a schedule that
    goes over a training spends all of them pruning. `Run.steps` counts what each got. The network
    from scratch gets `dense_epochs` more, as many as went into the dense model.

    Args:
        model: Trained; left as it is.
        example_inputs: A tensor, a tuple of arguments, or a dict of keyword arguments.
        train: Batches (inputs, targets) to score and recover on, which can be read again and
            again. Seeds differ by the order in which it yields them, so let it shuffle.
        test: Batches (inputs, targets) to measure on, always in the same order.
        loss: loss(outputs, targets) -> a scalar.
        budgets: Per granularity what a result may cost. Zeroed weights cost no less time, so
            "weight" takes params, "channel" macs as well. All are checked before the first run.
        folder: For `results.jsonl` and the smaller models. Where it holds the same study, half
            finished, that is gone on with.
        recipe: How every run recovers.
        dense_epochs: How many epochs the dense model was trained.
        margin: The drop of the metric that would matter; fix it before you look.
        strategies: Names or strategies; all that prunus ships where None.
        seeds: Of the order of data, and of whatever else is random.
        metric: See `prunus.verify`.
        batches: How many batches criteria and batch norms read; all where None.
        latency_batch: Items of the batch that is timed.
        include: See `prunus.prune`.
        exclude: See `prunus.prune`.
        title: What is compared, such as "small ResNet on digits".
        progress: Called with (runs done, runs in all, what comes next).

    Returns:
        All runs, and the failures: strategies that could not meet a budget that others can.

    Raises:
        StudyError: The study cannot start or go on: a budget means nothing at its granularity, or
            no choice of units meets it; another study is in the folder or at work
            there, a line of its results is not as it was written, or the disk refuses.
        DataError: Data are empty, can be read only once, or hold NaN.
        PruneError: Whatever stops a run, but for a budget that cannot be met, stops the study.

    Example:
        >>> dense = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> inputs = torch.randn(64, 4)
        >>> data = [(inputs, (inputs.sum(1) > 0).long())]
        >>> study = compare(
        ...     dense, inputs[:1], train=data, test=data, loss=nn.CrossEntropyLoss(),
        ...     budgets={"channel": [Budget(macs=0.5)]}, strategies=["magnitude"], seeds=[0],
        ...     recipe=Recipe(epochs=2), dense_epochs=1, folder="runs/example",
        ... )
        >>> [(run.strategy, run.params) for run in study.runs]
        [('magnitude', 30), ('random', 30), ('scratch', 30)]
    """
    check_margin(margin)
    _check_rereadable(train=train, test=test)
    check_forgettable(model)
    _check_meanings(budgets)
    jobs = _jobs(strategies, budgets, seeds)
    _check_jobs(jobs)
    _check_epochs(jobs, recipe, dense_epochs)
    setting = Setting(
        dense=model,
        inputs=example_inputs,
        train=train,
        test=test,
        loss=loss,
        recipe=recipe,
        dense_epochs=dense_epochs,
        margin=margin,
        metric=metric,
        batches=batches,
        latency_batch=latency_batch,
        include=include,
        exclude=exclude,
        folder=Path(folder),
    )
    _check_data(setting)
    _check_schedules(setting, jobs)
    _check_units(setting, jobs)
    _check_budgets(setting, jobs)
    facts = facts_of(setting, jobs, title or type(model).__name__)
    with open_results(setting.folder, facts) as results:
        return _finished(setting, jobs, results, progress or _ignore)


def _jobs(
    strategies: Sequence[str | Strategy] | None,
    budgets: Mapping[str, Sequence[Budget]],
    seeds: Sequence[int],
) -> tuple[Job, ...]:
    """Return all runs to be had: seeds outermost, so that half a study compares everything."""
    picked = {granularity: chosen(strategies, granularity) for granularity in budgets}
    return tuple(
        Job(strategy=strategy, budget=budget, seed=seed)
        for seed in seeds
        for granularity in budgets
        for budget in budgets[granularity]
        for strategy in picked[granularity]
    )


def _finished(setting: Setting, jobs: Sequence[Job], results: Results, progress: Progress) -> Study:
    """Do all jobs that are not done yet; write each down at once."""
    memory = ScoreMemory(setting)
    done = {key_of(one) for one in results.study.runs + results.study.failures}
    pending = [job for job in jobs if job.key not in done]
    for number, job in enumerate(pending, start=len(jobs) - len(pending)):
        progress(number, len(jobs), str(job))
        results.append(_outcome(setting, job, memory, results.study.facts))
    progress(len(jobs), len(jobs), "")
    return results.study


def _outcome(setting: Setting, job: Job, memory: ScoreMemory, facts: Facts) -> Run | Failure:
    dense_file_bytes = facts.dense["file_bytes"]
    try:
        return run(setting, job, score_bytes=memory(job), dense_file_bytes=dense_file_bytes)
    except BudgetError as error:
        return Failure(**setting.aim(job), what=error.what, why=error.why, hint=error.hint)


def _ignore(done: int, total: int, text: str) -> None:
    """Report progress to nobody."""


# -- what is checked before the first run -----------------------------------------------------


def _check_rereadable(**data: Iterable[Any]) -> None:
    for name, batches in data.items():
        if isinstance(batches, Iterator):
            raise DataError(
                f"{name} is a {type(batches).__name__}, which can be read only once",
                hint="pass a DataLoader or a list of batches",
            )


def _check_schedules(setting: Setting, jobs: Sequence[Job]) -> None:
    """Raise a StudyError where a training is too short for what prunes in it."""
    for job in jobs:
        if job.strategy.during is not None:
            schedule_of(job, steps=setting.steps)


def _check_meanings(budgets: Mapping[str, Sequence[Budget]]) -> None:
    """Raise a StudyError where a budget has no meaning at its granularity."""
    for granularity, several in budgets.items():
        for budget in several:
            try:
                check_meaning(budget, granularity)
            except BudgetError as error:
                raise _refused(budget, granularity, error) from error


def _refused(budget: Budget, granularity: str, error: BudgetError) -> StudyError:
    return StudyError(
        f"'{budget}' is no budget for granularity '{granularity}': {error.what}",
        why=error.why,
        hint=f"budgets={{'{granularity}': ...}}: {error.hint}",
    )


def _check_jobs(jobs: Sequence[Job]) -> None:
    if not jobs:
        raise StudyError(
            "there is nothing to compare",
            why="no budget, or no seed, was given",
            hint='budgets={"channel": [prunus.Budget(macs=0.5)]}, seeds=(0, 1, 2)',
        )
    counts = Counter(job.key for job in jobs)
    job, times = max(((job, counts[job.key]) for job in jobs), key=lambda pair: pair[1])
    if times > 1:
        raise StudyError(
            f"the same run is asked for {times} times: {job}",
            hint="give each budget and each seed once",
        )


def _check_epochs(jobs: Sequence[Job], recipe: Recipe, dense_epochs: int) -> None:
    if dense_epochs < 1:
        raise StudyError(
            f"dense_epochs={dense_epochs} is no training",
            why="the small dense network from scratch is trained as long as the dense model was",
            hint="say for how many epochs the dense model was trained",
        )
    penalised = [job.strategy.name for job in jobs if job.strategy.penalty is not None]
    if penalised and recipe.epochs < 2:
        raise StudyError(
            f"'{penalised[0]}' needs a recipe of 2 epochs or more, not {recipe.epochs}",
            why="it spends half of them under a penalty, before the cut",
            hint="raise recipe.epochs, or leave strategies with a penalty out",
        )

    for strategy in {job.strategy.name: job.strategy for job in jobs}.values():
        steps = sum(shares_epochs(recovery(step)) for step in strategy.recovery or ())
        left = recipe.epochs - (recipe.epochs // 2 if strategy.penalty else 0)
        if steps > left:
            raise StudyError(
                f"'{strategy.name}' trains in {steps} steps, and has epochs for {left}",
                why="they share the epochs of the recipe that are left after the cut",
                hint="raise recipe.epochs, or leave steps out",
            )


def _check_units(setting: Setting, jobs: Sequence[Job]) -> None:
    """Raise a StudyError where nothing of the model can be pruned at a granularity."""
    for job in {job.strategy.granularity: job for job in jobs}.values():
        planner = setting.untimed(job)
        if not planner.free:
            reasons = dict.fromkeys(group.frozen_because for group in planner.groups.values())
            raise StudyError(
                f"nothing of this model can be pruned at granularity '{planner.granularity}'",
                why="; ".join(str(reason) for reason in list(reasons)[:3])
                or none_found(planner.graph, planner.granularity),
                hint="prunus.explain(model, example_inputs) shows what was found",
            )


def _check_budgets(setting: Setting, jobs: Sequence[Job]) -> None:
    """Raise a StudyError where no choice of units meets a budget, whoever scores them.

    Of latency that is known when it is measured, in the first run.
    """
    planners: dict[str, Planner] = {}
    counted = (job for job in jobs if job.budget.latency is None)
    for job in {(job.strategy.granularity, str(job.budget)): job for job in counted}.values():
        granularity = job.strategy.granularity
        if granularity not in planners:
            planners[granularity] = setting.planner(setting.dense, job)
        planner = replace(
            planners[granularity],
            budget=job.budget,
            criterion=Random(),
            allocator=allocator_of(default(granularity)),
        )
        try:
            planner.kept(planner.scores())
        except BudgetError as error:
            raise _refused(job.budget, granularity, error) from error


def _check_data(setting: Setting) -> None:
    """Read one batch of the training data, and the test data a second time."""
    for _ in checked(
        Calibration(Seeded(setting.train, seed=0), batches=1), device=device_of(setting.dense)
    ):
        pass
    if not torch.equal(setting.dense_N, setting.measure(setting.dense)):
        raise StudyError(
            "the test data are not the same when they are read again",
            why="the dense model is right on other items: they come in another order, or are "
            "changed at random",
            hint="DataLoader(test, shuffle=False), without augmentation",
        )
