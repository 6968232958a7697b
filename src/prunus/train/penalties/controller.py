"""The controller turns the strength of a penalty so that a budget is reached, whatever the model.

A penalty has a strength, and what one wants is a budget. The controller closes the gap: it asks
every so often which units the budget would remove as things stand (the doomed ones), measures
their share of all that units carry, and turns the strength so that hardly any is left by the end.

Legend: U units of a group.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from prunus.errors import TrainError
from prunus.records import Groups, Kept
from prunus.train.hooks import Hook, Step
from prunus.train.penalties.base import Parts, Penalty, norms_of

BEGIN = 0.1  # of all steps: after the usual warm-up of the learning rate
FINISH = 0.7  # of all steps: the rest trains on with what is left
LARGEST_TURN = 2.0  # by which the strength is multiplied or divided at one check
COLLAPSE = 0.1  # of the squared norm that the kept units had: below it the strength gives way
_TINY = 1e-12
_VISIBLE = 1e-4  # fall of a logarithm that rounding in float32 does not blur
_LARGEST_RAISE = 12  # powers of ten


@dataclass(frozen=True, kw_only=True)
class Check:
    """One look of the controller.

    Attributes:
        step: After which step of the optimizer, counted from 0.
        strength: What it set.
        share: The squared norm of the doomed units over that of all, before.
    """

    step: int
    strength: float
    share: float


@dataclass(frozen=True, kw_only=True)
class Steering:
    """What the controller did.

    Attributes:
        checks: In order.
        strength: The last one.
        share: What the doomed units still carry: what a cut takes away.
    """

    checks: tuple[Check, ...]
    strength: float
    share: float


class Controller(Hook):
    """Penalises units while a model trains until those that a budget removes carry nothing.

    Between a tenth and seven tenths of the training the share of the doomed units is to fall by
    the same factor at every check. The first check measures what one step of the penalty does and
    sets the strength by that, so any start will do; each later one multiplies the strength by how
    much too slowly the share fell, at most twofold. Afterwards the strength is never raised.

    Only the doomed units are penalised, as in growing regularisation (Wang et al. 2021,
    arXiv:2012.09243), and who is doomed is chosen anew at every check. The classic penalty on all
    units is `spare=1`: it lets the loss decide who vanishes, but needs a long training, as the
    kept units shrink along. Then the strength is halved whenever they have lost nine tenths of
    their squared norm, and the doomed ones may keep more than the target.

    After the training: cut, then train on without the penalty.

    Args:
        penalty: Which penalty; its strength is only where to start.
        groups: The units.
        select: What the budget would keep right now, by group, such as an allocator's `Plan.kept`.
            Groups that it leaves out keep all units.
        target: The share at which the doomed units may be cut.
        spare: How strongly the kept units are penalised: a fraction of the strength.
        checks: How often to look, over the whole training.

    Raises:
        TrainError: A number is out of its range.

    Example:
        As one of the hooks of `fit`; in a training loop of one's own call `start` before the first
        step and `after_step` after each::

            controller = Controller(GroupLasso(), groups, lambda: choose().kept)
            fit(model, data, loss=loss, recipe=recipe, hooks=[controller])
            print(controller.steering().share)
    """

    def __init__(
        self,
        penalty: Penalty,
        groups: Groups,
        select: Callable[[], Mapping[str, Kept]],
        *,
        target: float = 0.001,
        spare: float = 0.0,
        checks: int = 25,
    ) -> None:
        if not (penalty.strength > 0 and 0 < target < 1 and 0 <= spare <= 1 and checks >= 1):
            raise TrainError(
                f"a controller cannot use strength={penalty.strength}, target={target}, "
                f"spare={spare}, checks={checks}",
                hint="strength > 0, 0 < target < 1, 0 <= spare <= 1, checks >= 1",
            )
        self.penalty = penalty
        self.groups = groups
        self.select = select
        self.target = target
        self.spare = spare
        self.number_of_checks = checks
        self._owned: dict[str, Parts] = {}
        self._kept: dict[str, Tensor] = {}
        self._penalty = penalty
        self._progress = 0.0
        self._checks: list[Check] = []
        self._kept_at_first = 0.0

    def start(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Look up what the units own, and forget earlier trainings."""
        self._owned = self.penalty.owned(model, self.groups)
        self._penalty = self.penalty
        self._progress = 0.0
        self._checks = []

    def after_step(self, step: Step) -> None:
        """Take the penalty's step; at a check, first choose who is doomed and turn the strength."""
        since = step.index - round(BEGIN * step.steps)
        every = max(1, step.steps // self.number_of_checks)
        if since < 0 or step.lr == 0:
            return
        self._progress = (step.index + 1) / step.steps
        if since % every == 0 or not self._checks:
            self._check(step, every)
        self._shrink(step.lr)

    def steering(self) -> Steering:
        """Return what was done and what is left now."""
        self._kept = self._select()
        doomed, kept = self._carried()
        return Steering(
            checks=tuple(self._checks),
            strength=self._penalty.strength,
            share=_share(doomed, kept),
        )

    def _check(self, step: Step, every: int) -> None:
        self._kept = self._select()
        doomed, kept = self._carried()
        share = _share(doomed, kept)
        left = max(FINISH * step.steps - step.index, every)
        wanted = math.log(max(share, _TINY) / self.target) / left
        if self._checks and self._penalty.spare(self._progress):
            turn = 1.0  # all units are pulled alike: how fast the share falls says nothing
        elif self._checks:
            last = self._checks[-1]
            fell = _fall(last.share, share) / (step.index - last.step)
            turn = min(max(_turn(wanted, fell), 1 / LARGEST_TURN), LARGEST_TURN)
        else:
            self._kept_at_first = kept
            turn = self._first_turn(step.lr, wanted)
        if step.index > FINISH * step.steps:
            turn = min(turn, 1.0)
        if kept < COLLAPSE * self._kept_at_first:
            turn = 1 / LARGEST_TURN
        strength = self._penalty.strength * turn
        self._penalty = replace(self._penalty, strength=strength)
        self._checks.append(Check(step=step.index, strength=strength, share=share))

    def _first_turn(self, lr: float, wanted: float) -> float:
        """Raise the strength until one step shows; return the turn that its effect asks for."""
        for _ in range(_LARGEST_RAISE):
            before, _ = self._carried()
            self._shrink(lr)
            fell = _fall(before, self._carried()[0])
            if wanted <= 0 or fell > _VISIBLE:
                return _turn(wanted, fell)
            self._penalty = replace(self._penalty, strength=10 * self._penalty.strength)
        return 1.0

    def _select(self) -> dict[str, Tensor]:
        """Return per group a bool tensor (U,): which units the budget would keep."""
        chosen = self.select()
        kept = {}
        for name, parts in self._owned.items():
            device = parts[0].weight.device
            if name in chosen:
                kept[name] = chosen[name].mask().to(device)
            else:
                kept[name] = torch.ones(self.groups[name].size, dtype=torch.bool, device=device)
        return kept

    @torch.no_grad()
    def _carried(self) -> tuple[float, float]:
        """Return the squared norm of all doomed units, and that of all kept ones."""
        doomed = kept = 0.0
        for name, parts in self._owned.items():
            square_U = norms_of(parts).double().square()
            doomed += square_U[~self._kept[name]].sum().item()
            kept += square_U[self._kept[name]].sum().item()
        return doomed, kept

    def _shrink(self, lr: float) -> None:
        penalty = self._penalty.at(self._progress)
        spare = max(self.spare, penalty.spare(self._progress))
        emphasis = {name: torch.where(kept_U, spare, 1.0) for name, kept_U in self._kept.items()}
        penalty.step(self._owned, lr=lr, emphasis=emphasis)


def _share(doomed: float, kept: float) -> float:
    return doomed / max(doomed + kept, _TINY)


def _fall(before: float, after: float) -> float:
    """Return by how much the logarithm fell."""
    return math.log(max(before, _TINY) / max(after, _TINY))


def _turn(wanted: float, fell: float) -> float:
    """Return by what to multiply the strength, for the share to fall as fast as wanted."""
    if wanted <= 0:
        return 1 / LARGEST_TURN
    return wanted / fell if fell > 0 else LARGEST_TURN
