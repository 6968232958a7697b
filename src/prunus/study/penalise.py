"""Training under a penalty before the cut."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import nn
from torch.optim import Optimizer

from prunus.errors import StudyError
from prunus.records import Groups, Kept
from prunus.study.reading import Seeded
from prunus.study.setting import Job, Setting
from prunus.train import Hook, Step, fit
from prunus.train.penalties import Penalty, norms_of, owned_by


class _Steered(Hook):
    def __init__(self, penalty: Penalty, groups: Groups, choose: Callable[[], Mapping[str, Kept]]):
        self.penalty, self.groups, self.choose = penalty, groups, choose

    def start(self, model: nn.Module, optimizer: Optimizer) -> None:
        self.owned = owned_by(self.groups, model)
        self.share0 = None

    @torch.no_grad()
    def after_step(self, step: Step) -> None:
        if step.index % 5 == 0:
            self.kept = {n: k.mask() for n, k in self.choose().items()}
            total = doomed = 0.0
            for n, parts in self.owned.items():
                sq = norms_of(parts) ** 2
                total += sq.sum().item()
                if n in self.kept:
                    doomed += sq[~self.kept[n]].sum().item()
            share = doomed / total
            self.share0 = self.share0 or share
            p = min(1, (step.index + 1) / (step.steps * 0.7))
            target = self.share0 ** (1 - p) * 0.005**p
            f = 2 if share > target else 0.5
            self.penalty = replace(self.penalty, strength=self.penalty.strength * f)
        for n, parts in self.owned.items():
            if n in self.kept:
                k = self.kept[n].float()
                self.penalty.shrink(parts, step.lr * self.penalty.strength * (1 - k + 0.06 * k))


def penalised(setting: Setting, job: Job) -> tuple[nn.Module, float]:
    model = copy.deepcopy(setting.dense)
    planner = setting.planner(model, job)
    hook = _Steered(job.strategy.penalty, planner.free, lambda: planner.kept(planner.scores()))
    history = fit(
        model,
        Seeded(setting.train, seed=job.seed),
        loss=setting.loss,
        recipe=replace(setting.recipe, epochs=setting.epochs["penalty"]),
        teacher=setting.teacher,
        hooks=[hook],
        seed=job.seed,
    )
    return model, history.seconds
