"""What all runs of a study share, and what each is asked for. Legend: N test items."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from prunus.allocate import Budget
from prunus.cost import LatencyTable
from prunus.data import checked
from prunus.inputs import Inputs, Loss, device_of, map_tensors, tensors_in
from prunus.latency import latency_table
from prunus.planner import Planner
from prunus.save import load_latency_table, save_latency_table
from prunus.study.reading import Calibration, Seeded
from prunus.study.records import Failure, Run
from prunus.study.strategy import Strategy
from prunus.train import Recipe
from prunus.train.loop import batches_in
from prunus.verify import measure
from prunus.verify.accuracy import Metric
from prunus.verify.comparison import name_of

Key: TypeAlias = tuple[str, str, str, int]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run, or one failure, to be had."""

    strategy: Strategy
    budget: Budget
    seed: int

    @property
    def key(self) -> Key:
        """What tells runs of a study apart."""
        return (self.strategy.granularity, self.strategy.name, str(self.budget), self.seed)

    def __str__(self) -> str:
        return f"{self.strategy.granularity} {self.strategy.name} {self.budget}, seed {self.seed}"


def key_of(done: Run | Failure) -> Key:
    """Return the key of the job that was done."""
    return (done.granularity, done.strategy, done.budget, done.seed)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all runs share.

    Attributes:
        dense: The trained model that all start from; left as it is.
        inputs: Its example inputs.
        train: Batches (inputs, targets) to recover on.
        test: Batches (inputs, targets) to measure on.
        loss: loss(outputs, targets).
        recipe: How to recover.
        dense_epochs: How long the dense model was trained.
        margin: The drop of the metric that would matter.
        metric: Of accuracy.
        batches: How many batches criteria and batch norms read; all where None.
        latency_batch: Items of the batch that is timed.
        include: See `prunus.prune`.
        exclude: See `prunus.prune`.
        folder: Of the study.
    """

    dense: nn.Module
    inputs: Inputs
    train: Iterable[Any]
    test: Iterable[Any]
    loss: Loss
    recipe: Recipe
    dense_epochs: int
    margin: float
    metric: str | Metric
    batches: int | None
    latency_batch: int
    include: Sequence[str] | None
    exclude: Sequence[str]
    folder: Path

    @cached_property
    def dense_N(self) -> Tensor:
        """The metric of the dense model on every test item, (N,)."""
        return self.measure(self.dense)

    @cached_property
    def timed(self) -> Inputs:
        """Inputs of one batch for the latency: test items, over again where there are too few."""
        inputs, _ = next(iter(checked(self.test, device=device_of(self.dense))))
        items = next(tensor.shape[0] for tensor in tensors_in(inputs))
        index = torch.arange(self.latency_batch) % items

        def resized(tensor: Tensor) -> Tensor:
            has_items = tensor.dim() > 0 and tensor.shape[0] == items
            return tensor[index.to(tensor.device)] if has_items else tensor

        return map_tensors(resized, inputs)

    @property
    def teacher(self) -> nn.Module | None:
        """The dense model, where the recipe distils."""
        return self.dense if self.recipe.distill else None

    @property
    def epochs(self) -> dict[str, int]:
        """Epochs by purpose; the same in total for every strategy. See `Facts.epochs`."""
        recovery = self.recipe.epochs
        return {
            "dense": self.dense_epochs,
            "recovery": recovery,
            "penalty": recovery // 2,
            "scratch": self.dense_epochs + recovery,
        }

    @cached_property
    def steps(self) -> int:
        """Steps of the optimizer that every pruned model gets in all."""
        return self.recipe.epochs * batches_in(self.train)

    def calibration(self, seed: int) -> Calibration:
        """Return what criteria and batch norms read."""
        return Calibration(Seeded(self.train, seed=seed), batches=self.batches)

    def measure(self, model: nn.Module) -> Tensor:
        """Return the metric of every test item, (N,)."""
        return measure(model, self.test, self.metric)

    def accuracy(self, model: nn.Module) -> float:
        """Return the mean of the metric over the test items."""
        return self.measure(model).double().mean().item()

    @property
    def metric_name(self) -> str:
        """Its name, to print."""
        return self.metric if isinstance(self.metric, str) else name_of(self.metric)

    def planner(self, model: nn.Module, job: Job) -> Planner:
        """Return the planner of a job, for `model`, a copy of the dense one."""
        return Planner.of(
            model,
            self.inputs,
            budget=job.budget,
            criterion=job.strategy.criterion_for(job.seed),
            granularity=job.strategy.granularity,
            allocation=job.strategy.allocation,
            include=self.include,
            exclude=self.exclude,
            latency_table=self.table_of(job),
        )

    def table_of(self, job: Job) -> LatencyTable | None:
        """Return how long operators take, where a budget limits that."""
        return self.latency_table if "latency" in job.budget.targets else None

    def untimed(self, job: Job) -> Planner:
        """Return a planner of the dense model to ask for groups and counted costs."""
        return self.planner(self.dense, replace(job, budget=Budget(units=1.0)))

    @cached_property
    def latency_table(self) -> LatencyTable:
        """How long operators take; measured once for all runs of a study, and kept beside them."""
        path = self.folder / "latency.json"
        if not path.exists():
            save_latency_table(latency_table(self.dense, self.inputs), path)
        return load_latency_table(path)

    def dense_figure(self, target: str, job: Job) -> int:
        """Return what the dense model has of what a budget limits."""
        planner = self.planner(self.dense, job)
        if target == "units":
            return sum(group.size for group in planner.free.values())
        figure: int = getattr(planner.costs, target)({})
        return figure

    def aim(self, job: Job) -> dict[str, Any]:
        """Return what the records of a job have in common: names, target, fraction kept."""
        budget, target = job.budget, job.budget.targets[0]
        # Of a fraction any figure will do; this is so large that rounding down changes nothing.
        dense = 10**9 if budget.relative(target) else self.dense_figure(target, job)
        return {
            "strategy": job.strategy.name,
            "kind": job.strategy.kind,
            "granularity": job.strategy.granularity,
            "budget": str(budget),
            "target": target,
            "fraction": budget.limit(target, dense=dense) / dense,
            "seed": job.seed,
        }
