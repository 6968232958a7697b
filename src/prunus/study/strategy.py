"""A strategy: what is scored, how the budget is shared out, and what is trained before the cut."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Literal, TypeAlias

from prunus import allocate, criteria, solvers, units
from prunus.allocate import Allocator
from prunus.criteria import Criterion
from prunus.criteria.random import Random
from prunus.criteria.shuffled import Shuffled
from prunus.errors import StudyError, unknown_name
from prunus.planner import default_allocation, scorer_of
from prunus.recover import Recovery, Training
from prunus.recover import get as recovery
from prunus.schedules import Schedule, scaled
from prunus.schedules.scaled import names as schedule_names
from prunus.solvers import Solver
from prunus.train.penalties import L1, L2, PENALTIES, GroupLasso, Penalty, Slimming

Kind: TypeAlias = Literal["pruned", "control", "scratch"]


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """One way to make a model smaller, as a study runs it.

    Attributes:
        name: Unique at its granularity; what tables and plots show.
        criterion: A name or an object that scores units, or a solver. One that has a seed is
            given that of the run.
        granularity: How the model is cut into units.
        allocation: A name or an object that says how many units each group keeps.
        schedule: In which rounds units are scored anew before the cut, without training in
            between; all at once where None.
        during: A schedule that goes over the training, in steps of the optimizer, or the name of
            one that is as long as it: "agp", "budgeted", "lottery", "rate-rewinding", "rigl",
            "set"; see `prunus.schedules.scaled`. The dense model is then pruned while it is
            trained as others recover: with the same recipe, over the same epochs, all of them. A
            schedule that goes back goes back to the trained dense model, at most so many steps on.
        penalty: What drives units towards zero before the cut. Its strength is where the steering
            starts; the budget decides where it ends.
        recovery: The steps after the cut, names or steps of `prunus.recover`; where None, batch
            norms are measured anew and then the model is trained, as the recipe of the study
            says. Steps that train and have no recipe of their own share its epochs.
        from_scratch: Forget the trained weights: a dense network of the same cost, trained anew.

    Raises:
        CriterionError: There is no such criterion.
        TrainError: There is no such step of a recovery.
        BudgetError: There is no such allocation.
        PlanError: There is no such granularity.
        StudyError: A part prints as another text in each run of Python, so that a study could not
            go on; the schedule cannot do without training; or parts do not go together.

    Example:
        >>> Strategy(name="group lasso", penalty=GroupLasso()).needs
        ('data', 'labels', 'training')
        >>> Strategy(name="anything", criterion="random").kind
        'control'
    """

    name: str
    criterion: str | Criterion | Solver = "magnitude"
    granularity: str = "channel"
    allocation: str | Allocator = "uniform"
    schedule: Schedule | None = None
    during: str | Schedule | None = None
    penalty: Penalty | None = None
    recovery: tuple[str | Recovery, ...] | None = None
    from_scratch: bool = False

    def __post_init__(self) -> None:
        scorer_of(self.criterion)
        allocate.get(self.allocation)
        units.spelled(self.granularity)
        steps = [recovery(step) for step in self.recovery or ()]
        around = (self.schedule, self.during, self.penalty, *steps)
        for part in (self.criterion, self.allocation, *around):
            _check_lasting(self.name, part)
        if self.from_scratch and self.recovery is not None:
            raise StudyError(
                f"strategy '{self.name}' cannot have a recovery",
                why="a network from scratch is trained as the dense one was, and has nothing to "
                "recover",
                hint="leave recovery or from_scratch out",
            )
        if self.schedule is not None and self.schedule.trains:
            raise StudyError(
                f"strategy '{self.name}' cannot use {self.schedule!r} before the cut",
                why="it sets rates, goes back or exchanges weights while they are trained",
                hint=f"Strategy(during={self.schedule!r})",
            )
        if self.during is not None:
            self._check_during(self.during)

    def _check_during(self, during: str | Schedule) -> None:
        """Raise where a strategy cannot prune while it trains."""
        known = scaled(during, steps=1000) if isinstance(during, str) else during
        others = ("schedule", "penalty", "recovery")
        given = [name for name in others if getattr(self, name) is not None]
        given += ["from_scratch"] * self.from_scratch
        solver = scorer_of(self.criterion)[1]
        because = ""
        if given:
            because = f"it has {given[0]} too, and pruning while it trains takes all epochs"
        elif solver is not None:
            because = f"{solver!r} solves the weights of a trained model at once"
        elif units.straightens(self.granularity):
            because = "the lines in place of activation functions are fitted to weights that stay"
        elif known.single_weights and self.granularity != "weight":
            because = "it exchanges single weights, which are units at granularity 'weight' alone"
        if because:
            raise StudyError(
                f"strategy '{self.name}' cannot use during={during!r}",
                why=because,
                hint="leave one of the two out",
            )

    @property
    def kind(self) -> Kind:
        """What it is in the comparison: a choice by chance is a control."""
        if self.from_scratch:
            return "scratch"
        by_chance = isinstance(scorer_of(self.criterion)[0], Random | Shuffled)
        return "control" if by_chance and self.penalty is None else "pruned"

    @property
    def needs(self) -> tuple[str, ...]:
        """What it needs to choose, beside the weights: "data", "labels", "training"."""
        if self.penalty is not None or self.from_scratch or self.during is not None:
            return ("data", "labels", "training")
        criterion, solver = scorer_of(self.criterion)
        if solver is not None:
            return ("data",)
        signals = criterion.needs
        required = {field for signal in signals for field in signal.requires}
        required |= {"data", "loss"} if allocate.get(self.allocation).measures else set()
        required |= {"data"} if units.straightens(self.granularity) else set()  # for the lines
        words = {"data": "data", "loss": "labels"}
        return tuple(word for field, word in words.items() if field in required)

    def criterion_for(self, seed: int) -> Criterion | Solver:
        """Return the criterion or solver; where it has a seed, with that of the run."""
        criterion, solver = scorer_of(self.criterion)
        if solver is not None:
            return solver
        if is_dataclass(criterion) and any(field.name == "seed" for field in fields(criterion)):
            return replace(criterion, seed=seed)
        return criterion


def shares_epochs(step: Recovery) -> bool:
    """Return whether a step trains by the recipe of the study."""
    return isinstance(step, Training) and step.recipe is None


def _check_lasting(name: str, part: object) -> None:
    """Raise where the text of a part differs in each run of Python: a study knows it by that."""
    address = re.search(r" at 0x[0-9a-f]+", repr(part), flags=re.IGNORECASE)
    if address:
        raise StudyError(
            f"strategy '{name}' cannot be told from others: a part of it prints as {part!r}",
            why=f"a study goes on only where its strategies are as they were, and{address[0]} is "
            "another in each run",
            hint=f"make {type(part).__name__} a frozen dataclass whose fields are numbers, texts "
            "or such dataclasses, or give it a __repr__ that shows its settings",
        )


_SHIPPED = (
    Strategy(name="random", criterion="random"),
    Strategy(name="magnitude"),
    Strategy(name="gradient", criterion="gradient"),
    Strategy(name="taylor", criterion="taylor"),
    Strategy(name="l1", penalty=L1()),
    Strategy(name="l2", penalty=L2()),
    Strategy(name="group-lasso", penalty=GroupLasso()),
)
# Weights say nothing of units that are whole modules.
_WHOLE = {
    granularity: (_SHIPPED[0], *(Strategy(name=name, criterion=name) for name in names))
    for granularity, names in {
        "activation": ("linear_damage", "linear_loss"),
        "activation_channel": ("linear_damage", "linear_loss"),
        "layer": ("block_influence", "greedy_loss"),
    }.items()
}


def strategies(granularity: str) -> tuple[Strategy, ...]:
    """Return the strategies that prunus ships, at one granularity.

    All share one allocation, so that what differs between them is the choice of units: "uniform"
    where channels are removed, as a raw global ranking can empty a layer; "global" where weights
    are zeroed. There group lasso is L1, so it is left out.

    Raises:
        PlanError: There is no such granularity.

    Example:
        >>> [strategy.name for strategy in strategies("weight")]
        ['random', 'magnitude', 'gradient', 'taylor', 'l1', 'l2']
    """
    allocation = allocate.default(granularity)
    return tuple(
        replace(strategy, granularity=granularity, allocation=allocation)
        for strategy in _WHOLE.get(granularity, _SHIPPED)
        if not units.zeroes(granularity) or strategy.name != "group-lasso"
    )


def _penalised(name: str, usual: Strategy) -> list[Strategy]:
    """Return the strategy of a penalty; none where it has nothing to act on."""
    if PENALTIES[name] is Slimming:
        scaled = replace(usual, name=name, criterion="batch_norm_scale", penalty=Slimming())
        return [] if units.zeroes(usual.granularity) else [scaled]
    return [replace(usual, name=name, penalty=PENALTIES[name]())]


def _during(name: str, usual: Strategy) -> list[Strategy]:
    """Return the strategy of a schedule; none where it exchanges weights that are no units."""
    exchanges = scaled(name, steps=1000).single_weights and usual.granularity != "weight"
    return [] if exchanges else [replace(usual, name=name, during=name)]


def scratch(granularity: str) -> Strategy:
    """Return the control that forgets the weights: what pruning has to beat."""
    return Strategy(
        name="scratch",
        criterion="random",
        granularity=granularity,
        allocation="global" if units.straightens(granularity) else "uniform",
        from_scratch=True,
    )


def chosen(given: Sequence[str | Strategy] | None, granularity: str) -> tuple[Strategy, ...]:
    """Return the strategies of a study at one granularity, the two controls included.

    Args:
        given: Strategies, or names of those that are shipped, of criteria, of solvers, of
            penalties and of schedules that go over a training; all that are shipped where None.
            Strategies of another granularity are left out.
        granularity: The granularity.

    A criterion or solver by name has the allocation that `prune` gives it; the others share one.

    Raises:
        StudyError: A name is unknown, or two strategies have the same.
    """
    shipped = {strategy.name: strategy for strategy in strategies(granularity)}
    named = {strategy.name for strategy in _SHIPPED}
    known = named | {*criteria.names(), *solvers.names(), *PENALTIES, *schedule_names()}
    picked = []
    for one in shipped.values() if given is None else given:
        if isinstance(one, Strategy):
            picked += [one] if one.granularity == granularity else []
        elif one in shipped:
            picked.append(shipped[one])
        elif one not in known:
            raise unknown_name("strategy", one, known, StudyError)
        elif one in (*criteria.names(), *solvers.names()):
            own = default_allocation(granularity, one)
            picked.append(replace(shipped["random"], name=one, criterion=one, allocation=own))
        elif one in schedule_names():
            picked += _during(one, replace(shipped["random"], criterion="magnitude"))
        elif one not in named:
            picked += _penalised(one, replace(shipped["random"], criterion="magnitude"))
    if not any(strategy.kind == "control" and not _shuffles(strategy) for strategy in picked):
        picked.append(shipped["random"])
    picked.sort(key=_shuffles)  # what others are compared with is the first control: random
    picked.append(scratch(granularity))
    names = [strategy.name for strategy in picked]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise StudyError(
            f"two strategies at granularity '{granularity}' are named '{twice[0]}'",
            why="runs are told apart by name, and 'random' and 'scratch' are always there",
            hint="give each a name of its own",
        )
    return tuple(picked)


def _shuffles(strategy: Strategy) -> bool:
    """Return whether a strategy shuffles the scores of a criterion within each group."""
    return isinstance(scorer_of(strategy.criterion)[0], Shuffled)
