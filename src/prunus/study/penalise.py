"""Training under a penalty before the cut."""

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from prunus.records import Kept
from prunus.study.reading import Seeded
from prunus.study.setting import Job, Setting
from prunus.trace.restore import copy_of
from prunus.train import History, fit
from prunus.train.penalties import Controller, Penalty


def penalised(setting: Setting, job: Job, penalty: Penalty) -> tuple[nn.Module, History]:
    """Return a copy of the dense model, trained until what the budget removes carries little.

    The strength is steered: every so often the units are scored as the weights then are, and the
    budget says which of them would go.

    Returns:
        The trained copy, and how the training went.

    Raises:
        BudgetError: No plan meets the budget.
        TrainError: The training diverged.
    """
    model = copy_of(setting.dense)
    planner = setting.planner(model, job)

    def select() -> Mapping[str, Kept]:
        data, loss = setting.calibration(job.seed), setting.loss
        return planner.kept(planner.scores(data=data, loss=loss), data=data, loss=loss)

    history = fit(
        model,
        Seeded(setting.train, seed=job.seed),
        loss=setting.loss,
        recipe=replace(setting.recipe, epochs=setting.epochs["penalty"]),
        teacher=setting.teacher,
        hooks=[Controller(penalty, planner.free, select)],
        seed=job.seed,
    )
    return model, history
