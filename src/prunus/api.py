"""The whole way in one screen: trace, score, choose, check, cut, prove."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from prunus.agreement import agree, agree_in_double, example_batches, outputs_of
from prunus.allocate import Allocator, Budget
from prunus.cost import LatencyTable, count, measure_latencies, measure_latency
from prunus.cost.forecast import forecast
from prunus.criteria import Criterion
from prunus.errors import PlanError, SaveError, TrainError, VerifyError, check_kind
from prunus.inputs import Inputs, Loss
from prunus.masks import Masked
from prunus.planner import Planner
from prunus.records import Agreement, Cost, Graph, Group, GroupRow, Latency, Plan, Report
from prunus.save import read, write
from prunus.schedules import OneShot, Schedule, rescored
from prunus.shrink import rebind, shrink
from prunus.solvers import Solver
from prunus.trace.restore import copy_of, snapshot

_TIMED_RUNS = 15


@dataclass(frozen=True)
class Pruned:
    """A pruned model with its plan and its proof.

    Attributes:
        model: Smaller and plain.
        plan: What was kept.
        report: What that cost and bought; `print` it.
        dense: The model as it was; None where it was pruned in place.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> pruned = prunus.prune(model, torch.randn(1, 4), budget=prunus.Budget(units=0.5))
        >>> pruned.model[0].out_features, pruned.masked()[0].out_features
        (4, 8)
        >>> pruned.report.before.params, pruned.report.after.params
        (58, 30)
    """

    model: nn.Module
    plan: Plan
    report: Report
    dense: nn.Module | None

    def masked(self) -> nn.Module:
        """Return a dense-shaped twin with the removed units at zero, as the check compared with.

        Where weights were zeroed and no shape changed, that is a copy of `model` itself, with the
        weights that a solver or a training since gave it.

        Raises:
            PlanError: The model was pruned in place, so the dense one is gone.
        """
        if self.plan.zeroes:
            return copy_of(self.model)
        if self.dense is None:
            raise PlanError(
                "there is no masked twin: the model was pruned in place",
                hint="prune with in_place=False, or apply prunus.Masked(model, plan) beforehand",
            )
        twin = copy_of(self.dense)
        Masked(twin, self.plan)
        return twin


def prune(  # noqa: PLR0913 - the one call that users make; all but the first two are keywords
    model: nn.Module,
    example_inputs: Inputs,
    *,
    budget: Budget | None = None,
    criterion: str | Criterion | Solver | None = None,
    granularity: str = "channel",
    allocation: str | Allocator | None = None,
    schedule: Schedule | None = None,
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    optimizer: torch.optim.Optimizer | None = None,
    in_place: bool = False,
    verify: bool = True,
    latency_table: LatencyTable | None = None,
) -> Pruned:
    """Return a smaller model that computes what the masked model computes, with the proof.

    Args:
        model: Any module that runs eagerly; untouched unless `in_place`.
        example_inputs: A tensor, a tuple of arguments, or a dict of keyword arguments, on the
            model's device.
        budget: What the result may cost. At "2:4" and its like the pattern says how much goes, so
            that it may be left out.
        criterion: A name or an object that scores units; or of a solver, such as "sparsegpt",
            which chooses single weights and solves those that stay anew. Unless given,
            "magnitude"; "block_influence" for layers and "linear_damage" for activations.
        granularity: "channel" removes every kind of unit whose removal is exact; "head",
            "head_dim", "width" or "expert" one kind alone, exact or not. "weight" sets single
            weights to zero, "4x1" blocks of them (outputs x inputs, any), and "2:4" all but 2 of
            every 4 inputs in a row (any). "layer" takes out whole residual blocks; "activation"
            makes activation functions straight lines, and one layer of those between which
            nothing is left; "activation_channel" makes lines of single channels of them.
        allocation: A name or an object that says how many units each group keeps; "uniform" for
            channels and "global" for weights unless given; "uniform" for solvers and for criteria
            whose papers prune layer by layer, "wanda" and "ria".
        schedule: In which rounds to score anew, without training in between, such as
            `prunus.schedules.Iterative(rounds=10)`; all at once unless given. For one that trains
            see `prunus.Pruner`.
        data: Batches (inputs, targets), where the criterion, the solver or the allocation needs
            them.
        loss: loss(outputs, targets), where the criterion needs it.
        include: Patterns of layers; what others produce stays whole.
        exclude: Patterns of layers; what these produce stays whole.
        optimizer: One that trains `model`; bound to the result, its state cut alike.
        in_place: Cut `model` itself. The dense tensors are held until the check has passed, and
            put back where it fails.
        verify: Check that the result computes what the masked model computes.
        latency_table: From `prunus.latency_table`, at the same example inputs; measured now unless
            given, where the budget limits latency.

    Raises:
        TraceError: The model could not be recorded.
        CriterionError: The criterion is unknown, lacks data, or the weights are not finite.
        BudgetError: No plan meets the budget; the error names what holds it.
        VerifyError: The result is not the masked model; `model` is as it was.

    Cost: two runs on fake tensors, the criterion's pass over the data, one copy of what is kept,
        and for the check two forward passes at each of two batch sizes.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> pruned = prunus.prune(model, torch.randn(1, 4), budget=prunus.Budget(units=0.5))
        >>> pruned.model[0]
        Linear(in_features=4, out_features=4, bias=True)
    """
    check_kinds(schedule=schedule, optimizer=optimizer)
    check_trains(optimizer, model)
    clock = Clock()
    with clock("trace"):
        planner = Planner.of(
            model, example_inputs, budget=budget, criterion=criterion, allocation=allocation,
            granularity=granularity, include=include, exclude=exclude, latency_table=latency_table,
        )  # fmt: skip
    with clock("score"):
        scores = rescored(planner, schedule or OneShot(), data=data, loss=loss)
    with clock("choose"):
        plan, groups = planner.choose(scores, data=data, loss=loss)
    if schedule is not None:
        plan = replace(plan, provenance={**plan.provenance, "schedule": repr(schedule)})
    planner = replace(planner, groups=groups)
    return carry_out(
        planner, plan, clock=clock, data=data, optimizer=optimizer, in_place=in_place,
        verify=verify,
    )  # fmt: skip


def carry_out(  # noqa: PLR0913 - what was settled before, all keywords
    planner: Planner,
    plan: Plan,
    *,
    clock: "Clock",
    before: Cost | None = None,
    data: Iterable[Any] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    in_place: bool = False,
    verify: bool = True,
) -> Pruned:
    """Cut the model of `planner` by `plan`, check the result, and report.

    Args:
        planner: Its model is dense-shaped.
        plan: What to keep.
        clock: Has measured what came before.
        before: What the dense model cost; counted now unless given.
        data: What a solver reads.
        optimizer: See `prune`, as for the rest.
        in_place: See `prune`.
        verify: See `prune`.
    """
    model, groups = planner.model, planner.groups
    before = before or count(model, macs=planner.costs.macs({}))
    agreement = None
    if planner.solver is not None:
        with clock("solve"):
            result, plan = _solved(planner, plan, optimizer, data=data, in_place=in_place)
    else:
        with clock("cut and check"):
            result, agreement = _cut(
                model, planner.inputs, plan, optimizer, in_place=in_place, verify=verify,
                inexact_because=_inexact(plan, groups),
            )  # fmt: skip
    kept = {} if plan.zeroes else plan.counts
    after = count(result, macs=planner.costs.macs(kept))
    said: tuple[str, ...] = ()
    if planner.table is not None and (predicted := planner.predicted(kept)) is not None:
        with clock("time"):
            dense, small = _timed(planner, planner.table, result, in_place=in_place)
        before, after = replace(before, latency=dense), replace(after, latency=small)
        said = (forecast(planner.table, predicted, before=dense, after=small),)
    report = Report(
        before=before,
        after=after,
        groups=tuple(_row(group, plan) for group in groups.values()),
        agreement=agreement,
        unreached=planner.graph.unreached,
        provenance=plan.provenance,
        seconds=clock.seconds,
        notes=(*_traced(planner.graph), *_notes(plan), *said),
    )
    return Pruned(result, plan, report, None if in_place else model)


def check_kinds(*, schedule: Any, optimizer: Any) -> None:
    """Raise a TrainError where one of these is something else than its name says.

    Example:
        >>> check_kinds(schedule="cubic", optimizer=None)
        Traceback (most recent call last):
        prunus.errors.TrainError: schedule='cubic' means nothing...
    """
    example = "schedule=prunus.schedules.Iterative(rounds=10)"
    check_kind("schedule", schedule, Schedule, TrainError, hint=example)
    example = "optimizer=torch.optim.SGD(model.parameters(), lr=0.1)"
    check_kind("optimizer", optimizer, torch.optim.Optimizer, TrainError, hint=example)


def _timed(
    planner: Planner, table: LatencyTable, result: nn.Module, *, in_place: bool
) -> tuple[Latency, Latency]:
    """Return the latency of the dense model and of the result, measured in turns if both exist."""
    if in_place:
        return table.dense, measure_latency(result, planner.inputs, runs=_TIMED_RUNS)
    dense, small = measure_latencies([planner.model, result], planner.inputs, runs=_TIMED_RUNS)
    return dense, small


def check_trains(optimizer: torch.optim.Optimizer | None, model: nn.Module) -> None:
    """Raise a TrainError where an optimizer trains no parameter of `model`.

    Example:
        >>> model = nn.Linear(4, 2)
        >>> check_trains(torch.optim.SGD(nn.Linear(4, 2).parameters()), model)
        Traceback (most recent call last):
        prunus.errors.TrainError: the optimizer trains no parameter of this Linear...
    """
    if optimizer is None:
        return
    own = set(model.parameters())
    if not any(param in own for group in optimizer.param_groups for param in group["params"]):
        raise TrainError(
            f"the optimizer trains no parameter of this {type(model).__name__}",
            why="it was made for another model, or for a copy of this one",
            hint="make it of the model that is pruned: torch.optim.SGD(model.parameters(), lr=0.1)",
        )


def save(pruned: Pruned, folder: str | Path, *, extra: Mapping[str, Any] | None = None) -> None:
    """Write a pruned model to a folder: `model.safetensors` and `manifest.json`, no pickle.

    Args:
        pruned: From `prune`; `pruned.model` may have been trained since.
        folder: Made if it is not there; an earlier model in it is replaced, whole or not at all.
        extra: More to keep beside it, such as a verdict; plain JSON.

    Raises:
        SaveError: The folder holds something else, the model no longer fits its plan, or the disk
            refuses; nothing was changed.

    Example:
        >>> def build():
        ...     return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> pruned = prunus.prune(build(), torch.randn(1, 4), budget=prunus.Budget(units=0.5))
        >>> prunus.save(pruned, "small")
        >>> prunus.load("small", model=build())[0]
        Linear(in_features=4, out_features=4, bias=True)
    """
    hint = 'prunus.save(pruned, "small"): all that prune returned, as the plan is saved too'
    check_kind("pruned", pruned, Pruned, SaveError, hint=hint, required=True)
    write(folder, model=pruned.model, plan=pruned.plan, report=pruned.report, extra=extra)


def load(folder: str | Path, *, model: nn.Module) -> nn.Module:
    """Return the model saved in `folder`, by cutting and filling a freshly built dense `model`.

    Args:
        folder: What `save` wrote.
        model: The dense architecture, built by the same code; its weights do not matter. It is
            changed, and returned.

    Raises:
        SaveError: The folder is missing, altered, from a newer prunus, or cut from another
            architecture. All is checked before `model` is touched.

    Example: see `save`.

        >>> prunus.load("nowhere", model=nn.Linear(2, 2))
        Traceback (most recent call last):
        prunus.errors.SaveError: 'nowhere' holds no saved model...
    """
    return read(folder, model=model)


def _solved(
    planner: Planner,
    plan: Plan,
    optimizer: torch.optim.Optimizer | None,
    *,
    data: Iterable[Any] | None,
    in_place: bool,
) -> tuple[nn.Module, Plan]:
    """Let the solver choose as many weights as `plan` keeps; return the result and its plan.

    No shape changes, so there is nothing to compare with.
    """
    result, plan = planner.solved(plan, data=data, in_place=in_place)
    if optimizer is not None:
        rebind(optimizer, planner.model, result, plan)
    return result, plan


def _cut(
    model: nn.Module,
    inputs: Inputs,
    plan: Plan,
    optimizer: torch.optim.Optimizer | None,
    *,
    in_place: bool,
    verify: bool,
    inexact_because: tuple[str, ...],
) -> tuple[nn.Module, Agreement | None]:
    """Apply `plan`; compare with the masked model where shapes change."""
    if plan.zeroes or not verify:
        return shrink(model, plan, in_place=in_place, optimizer=optimizer), None
    batches = example_batches(model, inputs)
    with Masked(model, plan):
        masked = outputs_of(model, batches)
    with _put_back_on_error(model, plan) if in_place else nullcontext():
        result = shrink(model, plan, in_place=in_place)
        try:
            agreement = agree(
                masked, _outputs(result, batches, plan), inexact_because=inexact_because,
                names=("folded", "straightened") if plan.lines else ("shrunk", "masked"),
            )  # fmt: skip
        except VerifyError as error:
            agreement = _settled(error, model, result, plan, batches, in_place=in_place)
        # The optimizer is bound only to a result that passed.
        if optimizer is not None:
            rebind(optimizer, model, result, plan)
    return result, agreement


def _settled(
    error: VerifyError,
    model: nn.Module,
    result: nn.Module,
    plan: Plan,
    batches: Sequence[Inputs],
    *,
    in_place: bool,
) -> Agreement:
    """Return how far the two are apart in float64, where that tells that rounding is the cause.

    Raises:
        VerifyError: It does not; or it cannot be told, as the dense model is gone.
    """
    if in_place or plan.lines:
        raise error
    try:
        return agree_in_double(model, result, plan, batches)
    except Exception:  # noqa: BLE001 - what float32 found holds
        raise error from None


def _outputs(model: nn.Module, batches: Sequence[Inputs], plan: Plan) -> list[list[torch.Tensor]]:
    """Return the outputs of the result, which may not run though its replay did."""
    try:
        return outputs_of(model, batches)
    except Exception as error:
        raise VerifyError(
            f"the {'folded' if plan.lines else 'shrunk'} model does not run: "
            f"{type(error).__name__}: {error}",
            why="the code reads something of a layer that became one with another"
            if plan.lines
            else "the code reads a size or a tensor that prunus did not see",
            hint="exclude=... the activation functions around it"
            if plan.lines
            else "exclude=... the layers around that line, and report the model",
        ) from error


def _inexact(plan: Plan, groups: Mapping[str, Group]) -> tuple[str, ...]:
    """Why the result need not be the masked model; empty where all that is cut is exact."""
    cut = [groups[name] for name in plan.kept]
    reasons = (
        f"{reason} (corrected up to the epsilon of the norm)" if group.corrected else reason
        for group in cut
        for reason in group.inexact_because
    )
    borders = (fold.inexact_because for fold in plan.folds if fold.inexact_because)
    return tuple(dict.fromkeys((*reasons, *borders)))


def _traced(graph: Graph) -> tuple[str, ...]:
    """Say where the trace is good for less than it usually is."""
    if graph.way != "real":
        return ()
    return (
        "the model reads values, so it was traced on real tensors: other inputs may lead it along "
        "other lines, which were not seen",
    )


def _notes(plan: Plan) -> tuple[str, ...]:
    """What corrections were made, and what became of activation functions, in sentences."""
    factors = [f"{each.tensor} x {each.factor(plan.counts):.3g}" for each in plan.corrections]
    made = (f"parameters that make up for norms over fewer units: {', '.join(factors)}",)
    if not plan.lines:
        return made if factors else ()
    whole = [line.module for line in plan.lines if not line.slope]
    partly = [
        f"{name} in {kept.size - kept.count} of {kept.size} channels"
        for name, kept in plan.kept.items()
        if kept.count
    ]
    became = [" + ".join(fold.modules) for fold in plan.folds]
    return (
        f"activation functions that are lines now: {', '.join((*whole, *partly))}",
        f"layers that became one: {', '.join(became)}"
        if became
        else "no layers could become one where that lowers MACs: the work is what it was",
    )


@contextmanager
def _put_back_on_error(model: nn.Module, plan: Plan) -> Iterator[None]:
    """Hold what `plan` cuts in place, and give it back to `model` where that fails."""
    named = dict(model.named_parameters()) | dict(model.named_buffers())
    cut = [named[name] for name in plan.tensors]
    held = [(tensor, tensor.data, tensor.grad) for tensor in cut]
    put_back = snapshot(model)
    try:
        yield
    except BaseException:
        with torch.inference_mode(mode=False):
            for tensor, data, gradient in held:
                tensor.data, tensor.grad = data, gradient
        put_back()
        raise


def _row(group: Group, plan: Plan) -> GroupRow:
    kept = plan.counts.get(group.name, group.size)
    return GroupRow(group.name, group.size, kept, group.frozen_because, group.inexact_because)


class Clock:
    """Wall time by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time what happens inside as one stage."""
        began = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - began
