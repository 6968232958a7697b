"""On the way: the budget of a step, units that stay removed, and rounds without training."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from prunus import units
from prunus.allocate import Budget
from prunus.allocate.budget import Amount
from prunus.errors import TrainError
from prunus.inputs import Loss
from prunus.masks import Masked
from prunus.planner import Planner
from prunus.records import Kept, Scores
from prunus.schedules.base import Schedule

Stays = Mapping[str, Kept]


def budget_at(planner: Planner, schedule: Schedule, step: int) -> Budget | None:
    """Return the budget that holds from a step of the schedule on; None where nothing goes yet."""
    targets: dict[str, Amount] = {}
    for target in planner.budget.targets:
        dense = _dense(planner, target)
        limit = planner.budget.limit(target, dense=dense)
        final = min(limit / dense, 1.0)
        share = schedule.share(step, final=final)
        if share == final:
            targets[target] = getattr(planner.budget, target)
        elif share < 1 and target == "sparsity":
            targets[target] = 1 - share
        elif share < 1:
            figure = max(limit, round(share * dense))
            targets[target] = f"{figure} ns" if target == "latency" else figure
    if not targets:
        return None
    changes: dict[str, Any] = {target: targets.get(target) for target in planner.budget.targets}
    return replace(planner.budget, **changes)


def _dense(planner: Planner, target: str) -> int:
    if target == "units":
        return sum(group.size for group in planner.free.values())
    figure = "params" if target == "sparsity" else target
    return int(getattr(planner.costs, figure)({}))


def kept_at(
    planner: Planner,
    schedule: Schedule,
    step: int,
    *,
    scores: Scores,
    before: Stays,
    data: Iterable[Any] | None,
    loss: Loss | None,
) -> dict[str, Kept]:
    """Return which units stay from a step on. What was removed `before` stays removed."""
    budget = budget_at(planner, schedule, step)
    if budget is None:
        return dict(before)
    now = replace(planner, budget=budget)
    return joined(before, now.kept(removed_last(scores, before), data=data, loss=loss))


def removed_last(scores: Scores, before: Stays) -> Scores:
    """Return the scores, with minus infinity for units that are removed already."""

    def stream(name: str) -> Iterator[Tensor]:
        if name not in before:
            yield from scores.stream(name)
            return
        gone_U, start = ~before[name].mask(), 0
        for score_U in scores.stream(name):
            yield score_U.masked_fill(gone_U[start : start + score_U.numel()], -torch.inf)
            start += score_U.numel()

    return Scores(scores.criterion, stream)


def joined(before: Stays, now: Stays) -> dict[str, Kept]:
    """Return the units that stay in both; groups that are absent keep all.

    Example:
        >>> one = {"a": Kept.of(torch.tensor([True, True, False]))}
        >>> other = {"a": Kept.of(torch.tensor([False, True, True]))}
        >>> joined(one, other)["a"].mask()
        tensor([False,  True, False])
    """
    return {
        name: Kept(one.size, one.bits & before[name].bits) if name in before else one
        for name, one in {**before, **now}.items()
    }


def rescored(
    planner: Planner,
    schedule: Schedule,
    *,
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
) -> Scores:
    """Return the scores of the last round of a schedule that is run without training.

    Before each round the units that went in earlier rounds are set to zero and the rest is
    scored anew. The weights are as they were at the end.

    Raises:
        TrainError: The schedule cannot do without training, or a solver without rounds.

    Cost: Scoring in each round; in the last all scores at once, 4 bytes a unit.
    """
    if schedule.trains:
        raise TrainError(
            f"{schedule!r} needs a training, and prune does none",
            why="it sets rates, goes back or exchanges weights while they are trained",
            hint="prunus.Pruner(model, example_inputs, schedule=...) in a training loop",
        )
    if planner.solver is not None and len(schedule.choices()) > 1:
        raise TrainError(
            f"{planner.solver!r} chooses all at once, and {schedule!r} has several rounds",
            hint="leave out the schedule, or name a criterion",
        )
    if units.straightens(planner.granularity) and len(schedule.choices()) > 1:
        raise TrainError(
            f"{schedule!r} has several rounds, and activation functions are scored in one",
            why="what is a line in one round would have to be fitted before the next",
            hint="leave out the schedule, or prune several times",
        )
    before: dict[str, Kept] = {}
    scores = planner.scores(data=data, loss=loss)
    for step in schedule.choices()[:-1]:
        before = kept_at(
            planner, schedule, step, scores=scores, before=before, data=data, loss=loss
        )
        with Masked(planner.model, planner.plan(before)):
            scores = _held(planner.scores(data=data, loss=loss), planner)
    return removed_last(scores, before)


def _held(scores: Scores, planner: Planner) -> Scores:
    """Return the scores as they are now, whatever becomes of the weights."""
    values = {name: scores[name] for name in planner.free}
    return Scores(scores.criterion, lambda name: iter([values[name]]))
