"""From a model and a budget to a plan: everything before the first tensor is touched."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from prunus import criteria, solvers, units
from prunus.agreement import compared
from prunus.allocate import (
    Allocator,
    Budget,
    Global,
    Measure,
    allocate,
    check_meaning,
    default,
    get,
)
from prunus.allocate import names as allocations
from prunus.cost import Costs, FoldedCosts, LatencyTable, cost_model
from prunus.cost.counted import transient_buffers
from prunus.cost.timing import measure_table
from prunus.criteria import Criterion
from prunus.criteria.magnitude import Magnitude
from prunus.damage import Damage
from prunus.errors import (
    BudgetError,
    CriterionError,
    PlanError,
    TraceError,
    VerifyError,
    check_kind,
    unknown_name,
)
from prunus.extents import axes_of
from prunus.inputs import Inputs, Loss
from prunus.records import Graph, Groups, Kept, Plan, Scores
from prunus.signals import collect
from prunus.signals.line_fits import best_lines
from prunus.solvers import Goal, Solver, solvable, solve
from prunus.trace import Divergence, replay, trace
from prunus.trace.lookalikes import lookalikes
from prunus.trace.restore import copy_of
from prunus.units import Tiling
from prunus.versions import versions


@dataclass(frozen=True, kw_only=True)
class Planner:
    """What planning needs to know of one model: traced once, asked as often as weights change.

    Attributes:
        model: The dense model.
        inputs: Its example inputs.
        graph: Its trace.
        groups: Its units, frozen groups included.
        costs: What a choice of units costs.
        budget: What the result may cost.
        criterion: What scores the units.
        allocator: What decides how many units each group keeps.
        granularity: How the model is cut into units.
        solver: What chooses and solves weights, where one was asked for in place of a criterion.
            The criterion is then magnitude, and serves to share the budget out.
        table: How long operators take, where the budget limits that or a table was given.
    """

    model: nn.Module
    inputs: Inputs
    graph: Graph
    groups: Groups
    costs: Costs
    budget: Budget
    criterion: Criterion
    allocator: Allocator
    granularity: str
    solver: Solver | None = None
    table: LatencyTable | None = None

    @classmethod
    def of(  # noqa: PLR0913 - the settings of `prune`, all keywords
        cls,
        model: nn.Module,
        inputs: Inputs,
        *,
        budget: Budget | None = None,
        criterion: str | Criterion | Solver | None = None,
        granularity: str = "channel",
        allocation: str | Allocator | None = None,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        latency_table: LatencyTable | None = None,
    ) -> "Planner":
        """Trace `model`; arguments and errors are those of `prunus.prune`."""
        check_kind("budget", budget, Budget, BudgetError, hint="prunus.Budget(macs=0.5)")
        hint = "prunus.latency_table(model, example_inputs), or prunus.load_latency_table(path)"
        check_kind("latency_table", latency_table, LatencyTable, BudgetError, hint=hint)
        granularity = units.spelled(granularity)
        if budget is not None:
            check_meaning(budget, granularity)
        chosen, solver = scorer_of(criterion or default_criterion(granularity))
        if allocation is None:
            allocation = default_allocation(granularity, solver or chosen)
        allocator = get(allocation)
        _check_shares(allocator, granularity)
        if solver is not None:
            _check_solves(solver, granularity)
        graph = trace(model, inputs)
        groups = units.groups(graph, granularity, include=include, exclude=exclude)
        if solver is not None:
            groups = _only(solvable(model, inputs), groups)
        if budget is None:
            budget = _budget_of(units.tilings(graph, granularity), groups, granularity)
        if latency_table is None and budget.latency is not None:
            latency_table = measure_table(model, inputs, graph)
        costs = cost_model(graph, groups, transient=transient_buffers(model), table=latency_table)
        return cls(
            model=model,
            inputs=inputs,
            graph=graph,
            groups=groups,
            costs=costs,
            budget=budget,
            criterion=chosen,
            allocator=allocator,
            granularity=granularity,
            solver=solver,
            table=latency_table,
        )

    @property
    def free(self) -> Groups:
        """The groups that may lose units."""
        return {name: group for name, group in self.groups.items() if group.frozen_because is None}

    def scores(
        self,
        *,
        data: Iterable[Any] | None = None,
        loss: Loss | None = None,
        batches: int | None = None,
    ) -> Scores:
        """Score every unit of the weights as they are now."""
        signals = collect(
            self.model,
            self.free,
            [self.criterion],
            data=data,
            loss=loss,
            inputs=self.inputs,
            batches=batches,
        )
        return criteria.scores(self.criterion, self.free, signals)

    def kept(
        self,
        scores: Scores,
        *,
        data: Iterable[Any] | None = None,
        loss: Loss | None = None,
    ) -> dict[str, Kept]:
        """Return which units stay by `scores`, without a check that the model then runs.

        Data and loss are for allocators that measure.

        Raises:
            BudgetError: No plan meets the budget, or the model has no units of the granularity.
        """
        if not self.groups:
            raise BudgetError(
                f"{self.budget} cannot be met: the model has no group of units",
                why=units.none_found(self.graph, self.granularity),
                hint="prunus.explain(model, example_inputs) shows what was found",
            )
        return allocate(
            self.groups,
            scores=scores,
            budget=self.budget,
            allocation=self.allocator,
            costs=self.costs,
            weights=self._weights(),
            measure=self._measure(data, loss),
            tilings=units.tilings(self.graph, self.granularity),
        )

    def choose(
        self,
        scores: Scores,
        *,
        data: Iterable[Any] | None = None,
        loss: Loss | None = None,
    ) -> tuple[Plan, Groups]:
        """Return a plan that meets the budget and that the model runs under, and the groups.

        The model is replayed on fake tensors with the sizes of the plan. Where an operator does
        not do what the plan predicts, the groups involved are frozen, with the reason, and the
        plan is made again. So it is where corrections do not make up for a cut.

        Raises:
            BudgetError: No plan meets the budget.
            CriterionError: Activation functions go, and there are no data to fit lines to.
            TraceError: A divergence involves no group that the plan cuts.
        """
        plan = self.plan(self.kept(scores, data=data, loss=loss))
        unfit = self._diverging(plan) or self._not_made_up_for(plan)
        if not unfit:
            return self._with_lines(plan, data), self.groups
        frozen = {
            name: replace(self.groups[name], frozen_because=because)
            for name, because in unfit.items()
        }
        again = replace(self, groups={**self.groups, **frozen})
        return again.choose(scores, data=data, loss=loss)

    def _diverging(self, plan: Plan) -> dict[str, str]:
        """Return the groups under whose cut the model does something else, and what it does."""
        divergence = self._replay(plan)
        if divergence is None:
            return {}
        axes = self._causes(plan, divergence)
        if not axes:
            raise TraceError(
                f"the model cannot be pruned: {divergence.reason}",
                why="it does something else when sizes change, and prunus cannot tell which",
                hint="exclude=... the layers around that line",
            )
        return dict.fromkeys(axes, divergence.reason)

    def _not_made_up_for(self, plan: Plan) -> dict[str, str]:
        """Return the groups whose corrections leave a difference that rounding does not explain.

        A correction leaves out the epsilon of its norm, which may be large beside the mean. What
        was asked for by name is cut all the same, and the difference is said.
        """
        corrected = [name for name in plan.kept if self.groups[name].corrected]
        if self.granularity != "channel" or not corrected:
            return {}
        try:
            compared(self.model, plan, self.inputs)
        except VerifyError as error:
            return {
                name: f"removal is not exact: {self.groups[name].inexact_because[0]}, and a factor "
                f"on a parameter does not make up for it: {error.what}"
                for name in corrected
            }
        return {}

    def _with_lines(self, plan: Plan, data: Iterable[Any] | None) -> Plan:
        """Return the plan with a line for each activation function that goes."""
        gone = {name: self.groups[name] for name in plan.kept if self.groups[name].taken_up_by}
        if not gone:
            return plan
        if data is None:
            raise CriterionError(
                f"granularity '{self.granularity}' needs data, but none was given",
                why="what goes becomes the line that fits it best on them",
                hint="pass data=loader; a few batches will do, and no targets",
            )
        kept_U = {name: plan.kept[name].mask() for name in gone}
        return replace(plan, lines=best_lines(self.model, gone, data, kept_U=kept_U))

    def solved(
        self, plan: Plan, *, data: Iterable[Any] | None, in_place: bool = False
    ) -> tuple[nn.Module, Plan]:
        """Return the model as the solver leaves it, and the plan of what it kept.

        Args:
            plan: How many weights stay of each tensor; which, the solver decides.
            data: Batches (inputs, targets), or inputs alone.
            in_place: Change the model itself; after an error it is as it was.

        Raises:
            CriterionError: There are no data, or the solver broke its contract.
            DataError: The data are not finite, end, or do not reach a layer.
        """
        assert self.solver is not None
        if data is None:
            raise CriterionError(
                f"{self.solver!r} needs data, but none was given",
                why="it solves each layer for what it reads on them",
                hint="pass data=loader; a few batches will do, and no targets",
            )
        result = self.model if in_place else copy_of(self.model)
        parameters = dict(result.named_parameters())
        held = {name: parameters[name].detach().clone() for name in plan.kept if in_place}
        tilings = units.tilings(self.graph, self.granularity)
        slots = {n: (t.keep, t.columns) for n, t in tilings.items() if t.keep is not None}
        goals = {name: Goal(kept.count, slots.get(name)) for name, kept in plan.kept.items()}
        try:
            kept = solve(result, self.solver, goals, inputs=self.inputs, data=data)
        except BaseException:
            with torch.no_grad():
                for name, values in held.items():
                    parameters[name].copy_(values)
            raise
        return result, replace(plan, kept=kept)

    def _weights(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all matrices and kernels, in the order in which they run."""
        read = (value for operator in self.graph.operators for value in operator.inputs if value)
        ordered = dict.fromkeys(value.name for value in read if value.name in self.graph.weights)
        return {name: self.graph.tensors[name].shape for name in ordered if name is not None}

    def _measure(self, data: Iterable[Any] | None, loss: Loss | None) -> Measure | None:
        if data is None or not self.allocator.measures:
            return None
        damage = Damage(self.model, data, loss=loss)
        return lambda kept: damage(self.plan(kept))

    def _causes(self, plan: Plan, divergence: Divergence) -> frozenset[str]:
        """Return the groups to freeze: of several that meet where it diverged, often one.

        Where none of these is the cause by itself, as where a number was computed from the size
        of another, it is looked for among all.
        """
        involved = divergence.axes or plan.kept.keys()
        alone = self._diverging_alone(plan, involved, divergence.place) or self._diverging_alone(
            plan, plan.kept.keys() - involved, divergence.place
        )
        alike = (
            other
            for name in alone
            for other in lookalikes(self.graph, name)
            if plan.counts.get(other) == plan.counts[name]
        )
        return frozenset(alike) or divergence.axes

    def _diverging_alone(
        self, plan: Plan, names: Iterable[str], place: int | None
    ) -> frozenset[str]:
        """Return those of the groups under whose cut alone the model does something else there."""
        alone = {name: self.plan({name: plan.kept[name]}) for name in names}
        return frozenset(
            name for name, each in alone.items() if self._replay(each, place) is not None
        )

    def plan(self, kept: Mapping[str, Kept]) -> Plan:
        """Return the plan that keeps these units, without a check that the model then runs."""
        structured = not units.zeroes(self.granularity)
        tensors = {
            name: value.extents
            for name, value in self.graph.tensors.items()
            if structured and any(axes_of(extent) & kept.keys() for extent in value.extents)
        }
        attributes = tuple(
            attribute
            for attribute in self.graph.attributes
            if structured and axes_of(attribute.extent) & kept.keys()
        )
        corrections = tuple(
            correction
            for correction in self.graph.corrections
            if structured and axes_of(correction.extent) & kept.keys()
        )
        stacks = {
            name: group.blocks
            for name, group in self.groups.items()
            if name in kept and group.blocks and group.taken_up_by is None
        }
        gone = [name for name, each in kept.items() if not each.count]
        folds = self.costs.folds(gone) if isinstance(self.costs, FoldedCosts) else ()
        return Plan(
            self.granularity, kept, tensors, attributes, self._provenance(kept), corrections,
            stacks, folds=folds,
        )  # fmt: skip

    def predicted(self, counts: Mapping[str, int]) -> float | None:
        """Return the latency under a plan in milliseconds; None where nothing tells it."""
        if self.table is None or isinstance(self.costs, FoldedCosts):
            return None
        if units.zeroes(self.granularity):  # which takes the time it took
            return None
        return self.costs.latency(counts) / 1e6

    def _replay(self, plan: Plan, until: int | None = None) -> Divergence | None:
        if not plan.tensors:
            return None
        return replay(self.model, self.inputs, self.graph, plan.counts, until)

    def _provenance(self, kept: Mapping[str, Kept]) -> dict[str, Any]:
        predicted = self.predicted({name: one.count for name, one in kept.items()})
        return {
            **versions(),
            "budget": str(self.budget),
            "criterion": repr(self.solver or self.criterion),
            "allocation": repr(self.allocator),
            "granularity": self.granularity,
            **({} if predicted is None else {"predicted_latency_ms": predicted}),
        }


def default_criterion(granularity: str) -> str:
    """Return the criterion that serves a granularity where the user names none.

    Example:
        >>> default_criterion("channel"), default_criterion("activation")
        ('magnitude', 'linear_damage')
    """
    if units.straightens(granularity):
        return "linear_damage"
    return "block_influence" if granularity == "layer" else "magnitude"


def default_allocation(granularity: str, criterion: str | Criterion | Solver) -> str:
    """Return the allocation where the user names none: that of the granularity.

    Solvers and criteria whose papers prune layer by layer take the same share of each.

    Example:
        >>> default_allocation("weight", "magnitude"), default_allocation("weight", "ria")
        ('global', 'uniform')
    """
    chosen, solver = scorer_of(criterion)
    alike = solver is not None or chosen.by_layer
    return "uniform" if alike else default(granularity)


def scorer_of(criterion: str | Criterion | Solver) -> tuple[Criterion, Solver | None]:
    """Return the criterion that is meant, and the solver where one is.

    Raises:
        CriterionError: There is neither of that name.
    """
    if isinstance(criterion, Solver) or criterion in solvers.names():
        return Magnitude(), solvers.get(criterion)
    if not isinstance(criterion, Criterion) and criterion not in criteria.names():
        known = (*criteria.names(), *solvers.names())
        raise unknown_name("criterion", criterion, known, CriterionError)
    return criteria.get(criterion), None


def _check_shares(allocator: Allocator, granularity: str) -> None:
    shipped = {type(get(name)) for name in allocations()} - {Global}
    if granularity == "activation" and type(allocator) in shipped:
        raise PlanError(
            f"{allocator!r} has nothing to share out at granularity 'activation'",
            why="each activation function is a group of its own: it stays or it goes",
            hint="allocation='global', which is what it is unless given",
        )


def _check_solves(solver: Solver, granularity: str) -> None:
    if granularity != "weight" and ":" not in granularity:
        raise PlanError(
            f"{solver!r} does not prune at granularity '{granularity}'",
            why="it chooses single weights, and solves those that stay",
            hint="granularity='weight' or granularity='2:4'",
        )


def _only(layers: Iterable[str], groups: Groups) -> Groups:
    """Freeze the groups that no solver can solve."""
    because = "no linear layer or convolution of its own that the model calls reads it"
    names = set(layers)
    return {
        name: group
        if name in names or group.frozen_because is not None
        else replace(group, frozen_because=because)
        for name, group in groups.items()
    }


def _budget_of(tilings: Mapping[str, Tiling], groups: Groups, granularity: str) -> Budget:
    """Return what n of every m weights come to, where the user names no budget.

    Raises:
        BudgetError: The granularity does not say how much goes.
    """
    if ":" not in granularity:
        raise BudgetError(
            "there is no budget",
            why=f"granularity '{granularity}' does not say how much goes",
            hint="say prunus.Budget(macs=0.5), or granularity='2:4', which needs none",
        )
    kept = sum(
        group.size // tilings[name].area * (tilings[name].keep or 0)
        for name, group in groups.items()
        if group.frozen_because is None
    )
    return Budget(units=max(kept, 1))
