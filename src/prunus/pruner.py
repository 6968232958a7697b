"""Pruning inside the user's own training loop, along a schedule."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from prunus import units
from prunus.allocate import Allocator, Budget
from prunus.api import Clock, Pruned, carry_out, check_kinds, check_trains
from prunus.cost import LatencyTable, count
from prunus.criteria import Criterion
from prunus.errors import PlanError, TrainError, check_kind
from prunus.inputs import Inputs, Loss
from prunus.masks import Masked
from prunus.planner import Planner
from prunus.records import Kept, Plan
from prunus.save import plan_from_json, plan_to_json
from prunus.schedules import Actions, OneShot, Regrow, Schedule
from prunus.schedules.exchange import exchanged
from prunus.schedules.stages import kept_at
from prunus.train.penalties import Parts, Penalty


class Pruner:
    """Prunes a model while you train it.

    Units that are removed are zeros until `finish`, whatever their granularity: gradients,
    momentum and weight decay cannot bring them back, since `step` sets them to zero again.
    Nothing is attached to the model or to the optimizer.

    Args:
        model: Any module that runs eagerly. It is trained by you and masked in place.
        example_inputs: As for `prune`.
        budget: What the result may cost; may be left out where the granularity says it.
        schedule: How that is approached; all at once before the first step unless given.
        criterion: A name or an object that scores units.
        granularity: "weight" zeroes single weights; with all others `finish` removes the units.
        allocation: As for `prune`.
        optimizer: The one that trains `model`.
        data: Batches (inputs, targets), where the criterion or the allocation needs them.
        loss: loss(outputs, targets), where the criterion needs it.
        penalty: What drives units towards zero until the last of them are chosen; its step is
            taken by `step`, at the optimizer's learning rate.
        include: As for `prune`.
        exclude: As for `prune`.
        latency_table: As for `prune`.

    Raises:
        TraceError: The model could not be recorded.
        CriterionError: The criterion is unknown or lacks data.
        BudgetError: No plan meets the budget; known before the first step.
        TrainError: The schedule or the penalty needs what was not given.

    Cost: A trace, and the criterion's pass for each choice of units. `step` writes the zeros: one
        pass over the affected parameters, and a byte per weight where single weights are zeroed.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        >>> pruner = prunus.Pruner(
        ...     model, torch.randn(1, 4), budget=prunus.Budget(units=0.5),
        ...     schedule=prunus.schedules.Cubic(steps=6, every=2), optimizer=optimizer,
        ... )
        >>> for _ in range(8):
        ...     optimizer.zero_grad()
        ...     loss = model(torch.randn(16, 4)).square().mean() + pruner.penalty()
        ...     loss.backward()
        ...     optimizer.step()
        ...     pruner.step()
        >>> pruner.finish().model[0]
        Linear(in_features=4, out_features=4, bias=True)
    """

    def __init__(  # noqa: PLR0913 - the settings of `prune`, all keywords
        self,
        model: nn.Module,
        example_inputs: Inputs,
        *,
        budget: Budget | None = None,
        schedule: Schedule | None = None,
        criterion: str | Criterion = "magnitude",
        granularity: str = "channel",
        allocation: str | Allocator | None = None,
        optimizer: Optimizer | None = None,
        data: Iterable[Any] | None = None,
        loss: Loss | None = None,
        penalty: Penalty | None = None,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        latency_table: LatencyTable | None = None,
    ) -> None:
        check_kinds(schedule=schedule, optimizer=optimizer)
        check_trains(optimizer, model)
        check_kind(
            "penalty", penalty, Penalty, TrainError, hint="penalty=GroupLasso(strength=0.01)"
        )
        self.model = model
        self.schedule = OneShot() if schedule is None else schedule
        self.optimizer = optimizer
        self._data, self._loss, self._penalty = data, loss, penalty
        self._check(granularity)
        self._clock = Clock()
        with self._clock("trace"):
            planner = Planner.of(
                model, example_inputs, budget=budget, criterion=criterion,
                allocation=allocation, granularity=granularity, include=include, exclude=exclude,
                latency_table=latency_table,
            )  # fmt: skip
        if units.straightens(planner.granularity):
            raise TrainError(
                "activation functions are not pruned while a model is trained",
                why="the lines in their place are fitted to weights that stay",
                hint=f"train, then prunus.prune(..., granularity='{planner.granularity}')",
            )
        if planner.solver is not None:
            raise TrainError(
                f"{planner.solver!r} cannot be used while a model is trained",
                why="it chooses and solves the weights of a trained model at once",
                hint=f"train, then prunus.prune(..., criterion={planner.solver!r})",
            )
        with self._clock("choose"):
            scores = planner.scores(data=data, loss=loss)
            _, groups = planner.choose(scores, data=data, loss=loss)
        self._planner = replace(planner, groups=groups)
        self._before = count(model, macs=planner.costs.macs({}))
        self._owned: Mapping[str, Parts] = penalty.owned(model, planner.free) if penalty else {}
        self._last_choice = self.schedule.choices()[-1]
        self._rates = [group["lr"] for group in optimizer.param_groups] if optimizer else []
        self._stays: dict[str, Kept] = {}
        self._masked = Masked(model, self.plan)
        self._remembered: dict[str, Tensor] = {}
        self.steps = 0
        self.clock = 0
        self._act(self.schedule.at(0))
        self._seen = self._versions()

    @property
    def plan(self) -> Plan:
        """What is kept right now."""
        plan = self._planner.plan(self._stays)
        return replace(plan, provenance={**plan.provenance, "schedule": repr(self.schedule)})

    @property
    def kept(self) -> float:
        """Share of the units that may be removed which is kept right now."""
        size = sum(group.size for group in self._planner.free.values())
        return 1 - sum(one.size - one.count for one in self._stays.values()) / size

    def penalty(self) -> Tensor:
        """Return the penalty of the model as it is, a scalar without gradient; 0 without one.

        Add it to the loss, or only log it: the weights are moved by `step`, after the optimizer,
        so that momentum and Adam's scaling do not distort the penalty.
        """
        penalty = self._penalty_now
        return torch.tensor(0.0 if penalty is None else penalty.total(self._owned))

    def step(self) -> None:
        """Call after `optimizer.step()`, before the gradients are cleared.

        Takes the penalty's step, sets removed units to zero again, and does what the schedule
        says at this step.

        Raises:
            TrainError: The schedule reads gradients, and there are none.
        """
        self._masked.settle()
        penalty = self._penalty_now
        if penalty is not None and self.optimizer:
            penalty.step(self._owned, lr=self.optimizer.param_groups[0]["lr"])
        self._masked.zero()
        self.steps += 1
        self.clock += 1
        self._act(self.schedule.at(self.steps))

    def finish(self, *, in_place: bool = False, verify: bool = True) -> Pruned:
        """Return the pruned model with its plan and its proof; call it when training is over.

        Args:
            in_place: Cut `model` itself, instead of returning a smaller one beside it.
            verify: Check that the result computes what the masked model computes.

        The optimizer is bound to the result, its state cut alike, so that training can go on.

        Raises:
            TrainError: The schedule has not met the budget yet.
            VerifyError: The result is not the masked model; `model` is as it was.
        """
        if self.steps < self._last_choice:
            raise TrainError(
                f"the budget is not met yet: {self.schedule!r} has its last choice at step "
                f"{self._last_choice}, and {self.steps} steps were taken",
                hint="train on, calling pruner.step() after each optimizer.step()",
            )
        self._let_go()
        return carry_out(
            self._planner,
            self.plan,
            clock=self._clock,
            before=self._before,
            optimizer=self.optimizer,
            in_place=in_place,
            verify=verify,
        )

    # -- resuming -----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return what a killed run needs to go on, beside the states of model and optimizer.

        Numbers, text and tensors only: `torch.load(..., weights_only=True)` reads it back.
        """
        stays = Plan(self._planner.granularity, self._stays, {})
        return {
            "settings": self._settings(),
            "steps": self.steps,
            "clock": self.clock,
            "rates": self._rates,
            "plan": plan_to_json(stays),
            "remembered": self._remembered,
            "gates": self._gates(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Build the Pruner as before and call this before the first step. The states of model and
        optimizer may be loaded before or after.

        Raises:
            PlanError: The state is of a Pruner with other settings, or for another model.
            TrainError: Steps were taken already.
        """
        if self.steps:
            raise TrainError(
                f"a state cannot be loaded after {self.steps} steps",
                hint="build the Pruner anew and load the state at once",
            )
        _check_same(self._settings(), state["settings"])
        if self._versions() == self._seen:  # else the weights were loaded since
            self._masked.undo()
        self.steps, self.clock = int(state["steps"]), int(state["clock"])
        self._rates = list(state["rates"])
        self._remembered = dict(state["remembered"])
        for name, logit_U in self._gates().items():
            logit_U.copy_(state["gates"][name])
        self._hold(dict(plan_from_json(state["plan"]).kept))

    def _gates(self) -> dict[str, Tensor]:
        """Return the logits of the gates that the penalty keeps, by group; mostly none."""
        gates = {name: parts[0].logit_U for name, parts in self._owned.items()}
        return {name: logit_U for name, logit_U in gates.items() if logit_U is not None}

    def _settings(self) -> dict[str, str]:
        names = ("budget", "criterion", "allocation", "granularity", "schedule")
        return {name: str(self.plan.provenance[name]) for name in names}

    def _versions(self) -> list[tuple[int, int]]:
        """Return which tensors the parameters are, and how often they were written to."""
        return [(id(parameter), parameter._version) for parameter in self.model.parameters()]

    # -- what a schedule asks for -------------------------------------------------------------

    def _check(self, granularity: str) -> None:
        if self.schedule.single_weights and granularity != "weight":
            raise TrainError(
                f"{self.schedule!r} cannot be used at granularity '{granularity}'",
                why="it exchanges single weights",
                hint="granularity='weight'",
            )
        moments = (self.schedule.at(step) for step in range(self.schedule.last + 1))
        rates = any(each.restore or each.rate is not None for each in moments)
        if self.optimizer is None and (rates or self._penalty is not None):
            raise TrainError(
                f"{self._penalty or self.schedule!r} needs the optimizer",
                why="it goes by its learning rate, or changes its state",
                hint="pass optimizer=",
            )

    def _act(self, actions: Actions) -> None:
        if actions.remember:
            self._remembered = {name: t.detach().clone() for name, t in self._tensors().items()}
        if actions.choose:
            self._choose()
        if actions.regrow is not None:
            self._exchange(actions.regrow)
        if actions.rewind is not None:
            self.clock = actions.rewind
        if actions.restore and self.optimizer:
            self._restore(self.optimizer)
        if actions.rate is not None and self.optimizer:
            for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * actions.rate

    def _choose(self) -> None:
        scores = self._planner.scores(data=self._data, loss=self._loss)
        stays = kept_at(
            self._planner,
            self.schedule,
            self.steps,
            scores=scores,
            before=self._stays,
            data=self._data,
            loss=self._loss,
        )
        self._hold(stays)

    def _hold(self, stays: dict[str, Kept]) -> None:
        self._let_go()
        self._masked = Masked(self.model, self._planner.plan(stays))
        self._stays = stays

    def _let_go(self) -> None:
        """Leave the zeros, and let blocks that were skipped run again."""
        self._masked.settle()
        self._masked.undo()

    @torch.no_grad()
    def _exchange(self, how: Regrow) -> None:
        parameters, stays = dict(self.model.named_parameters()), dict(self._stays)
        for name, kept in self._stays.items():
            parameter = parameters[name]
            if how.by == "gradient" and parameter.grad is None:
                raise TrainError(
                    f"'{name}' has no gradient to grow by",
                    hint="call pruner.step() after optimizer.step() and before zero_grad()",
                )
            gradient = parameter.grad if how.by == "gradient" else None
            works_U = kept.mask().to(parameter.device)
            after_U = exchanged(
                how,
                weight_U=parameter.flatten(),
                gradient_U=None if gradient is None else gradient.flatten(),
                works_U=works_U,
            )
            stays[name] = Kept.of(after_U)
            self._forget_state(parameter, (after_U & ~works_U).view(parameter.shape))
        self._hold(stays)

    def _forget_state(self, parameter: nn.Parameter, grown: Tensor) -> None:
        """Let weights that start again do so without momentum."""
        for value in self.optimizer.state[parameter].values() if self.optimizer else ():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                value.masked_fill_(grown, 0)

    @torch.no_grad()
    def _restore(self, optimizer: Optimizer) -> None:
        for name, tensor in self._tensors().items():
            tensor.copy_(self._remembered[name])
        optimizer.state.clear()
        self._masked.settle()
        self._masked.zero()

    def _tensors(self) -> dict[str, Tensor]:
        return dict(self.model.named_parameters()) | dict(self.model.named_buffers())

    @property
    def _penalty_now(self) -> Penalty | None:
        """The penalty as it is by now, until the last units are chosen."""
        if self._penalty is None or self.steps >= self._last_choice:
            return None
        return self._penalty.at(self.steps / self._last_choice)


def _check_same(mine: Mapping[str, str], given: Mapping[str, str]) -> None:
    for name, value in mine.items():
        if given.get(name) != value:
            raise PlanError(
                f"the state is of a Pruner with {name}={given.get(name)}, this one has {value}",
                hint="build the Pruner with the settings of the run that was stopped",
            )
