"""What every penalty is: a size of the units, and a step after the optimizer's that lowers it.

Legend: U units of a group, K positions that a unit owns in a dim, D all positions of that dim.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from prunus.errors import TrainError
from prunus.records import Group, Groups
from prunus.signals.norm_scales import BATCH_NORMS


@dataclass(frozen=True)
class Owned:
    """The numbers of one parameter that the units of a group own.

    Attributes:
        weight: The parameter, changed in place.
        along: The dim that the units lie along, and int64 (U, K), the positions in it that each
            unit owns; None where every number of the parameter is a unit.
        scales: Whether the parameter is the scale of a batch norm.
        logit_U: Where units have gates, how far each is open, float32 (U,); changed in place. All
            that a unit owns shares one gate.
    """

    weight: nn.Parameter
    along: tuple[int, Tensor] | None = None
    scales: bool = False
    logit_U: Tensor | None = None

    @property
    def size(self) -> int:
        """How many numbers each unit owns."""
        if self.along is None:
            return 1
        dim, index_UK = self.along
        return index_UK.shape[1] * self.weight.numel() // self.weight.shape[dim]

    def sum_of(self, values: Tensor) -> Tensor:
        """Return per unit the sum of `values`, a tensor like `weight`: (U,)."""
        if self.along is None:
            return values.flatten()
        dim, index_UK = self.along
        values_D = values.movedim(dim, 0).reshape(values.shape[dim], -1).sum(1)
        return values_D[index_UK].sum(1)

    def scale(self, factor: Tensor | float) -> None:
        """Multiply what the units own by a factor: one for all, or one each (U,)."""
        self.weight.mul_(self._spread(factor, elsewhere=1.0))

    def soft_threshold(self, threshold: Tensor | float) -> None:
        """Move every number that the units own towards zero by `threshold`, and not past it."""
        limit = self._spread(threshold, elsewhere=0.0)
        self.weight.sub_(self.weight.clamp(-limit, limit))

    def _spread(self, values: Tensor | float, *, elsewhere: float) -> Tensor:
        """Return the units' values where their numbers are, broadcastable to `weight`."""
        values = torch.as_tensor(values, dtype=self.weight.dtype, device=self.weight.device)
        if self.along is None:
            return values.reshape(self.weight.shape) if values.dim() else values
        dim, index_UK = self.along
        values_D = self.weight.new_full((self.weight.shape[dim],), elsewhere)
        values_D[index_UK] = values.unsqueeze(-1)
        return values_D.reshape([-1 if d == dim else 1 for d in range(self.weight.dim())])


Parts: TypeAlias = tuple[Owned, ...]


def owned_by(groups: Groups, model: nn.Module) -> dict[str, Parts]:
    """Return, per group that may be pruned, what its units own in the parameters of `model`.

    Frozen groups, buffers and parameters without gradient are left out: no loss would hold
    against a penalty on them.

    Raises:
        TrainError: A group names a parameter that the model does not have.
    """
    parameters = dict(model.named_parameters())
    scales = {id(norm.weight) for norm in model.modules() if isinstance(norm, BATCH_NORMS)}
    owned = {}
    for name, group in groups.items():
        if group.frozen_because is None:
            parts = tuple(_parts(group, parameters, scales))
            if parts:
                owned[name] = parts
    return owned


def _parts(
    group: Group, parameters: Mapping[str, nn.Parameter], scales: Container[int]
) -> Iterator[Owned]:
    index_of = iter(group.index_UK)  # one for each member that has an extent, in their order
    for member in group.members:
        index_UK = None if member.extent is None else next(index_of)
        if not member.parameter:
            continue
        if member.tensor not in parameters:
            raise TrainError(
                f"the model has no parameter '{member.tensor}', of which group '{group.name}' "
                "owns a part",
                why="the groups were made from another model, or before this one was shrunk",
                hint="trace this model again and take its groups",
            )
        weight = parameters[member.tensor]
        if weight.requires_grad:
            if index_UK is None or member.dim is None:
                yield Owned(weight)
            else:
                along = (member.dim, index_UK.to(weight.device))
                yield Owned(weight, along, scales=id(weight) in scales)


def norms_of(parts: Parts) -> Tensor:
    """Return the Euclidean norm of all that each unit owns, float32 or wider (U,)."""
    return sum_over(parts, torch.square).sqrt()


def sum_over(parts: Parts, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Return per unit the sum of `function` over all that it owns: float32 or wider (U,)."""
    sums = []
    for part in parts:
        wide = torch.promote_types(part.weight.dtype, torch.float32)
        sums.append(part.sum_of(function(part.weight.to(wide))))
    return torch.stack(sums).sum(0)


@dataclass(frozen=True, kw_only=True)
class Penalty(ABC):
    """A cost of the units that drives them towards zero while the model trains.

    The penalty never enters the loss. After each step of the optimizer `apply` takes the proximal
    step of `strength * value` at the learning rate: momentum and Adam's scaling do not see it
    (compare decoupled weight decay, Loshchilov and Hutter 2017, arXiv:1711.05101), and what
    reaches zero is zero. Groups are taken one after the other. A weight that two groups own, a
    row of the one and a column of the other, is penalised for each.

    Attributes:
        strength: By which the value is multiplied; 0 changes nothing.
        proximal: Whether the step is the proximal step of `size` exactly. Others hold something
            fixed meanwhile, or go down a slope, as their text says.
        remembers: Whether it keeps something between steps, in what `owned` returns.

    Example:
        In a training loop of one's own::

            penalty = GroupLasso(strength=1e-3)
            for inputs, targets in data:
                optimizer.zero_grad()
                loss(model(inputs), targets).backward()
                optimizer.step()
                penalty.apply(model, groups, lr=optimizer.param_groups[0]["lr"])
    """

    strength: float = 1e-4
    proximal: ClassVar[bool] = True
    remembers: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.strength < math.inf:
            raise TrainError(
                f"{type(self).__name__}(strength={self.strength}) cannot be used",
                why="strength must be 0 or more",
            )

    def at(self, progress: float) -> "Penalty":
        """Return the penalty as it is after so much of a training, in [0, 1]: itself, or grown."""
        return self

    def spare(self, progress: float) -> float:
        """Return how strongly units that will be kept are penalised too: a fraction, 0 or more."""
        return 0.0

    def owned(self, model: nn.Module, groups: Groups) -> dict[str, Parts]:
        """Return, per group that may be pruned, what this penalty acts on: see `owned_by`.

        Raises:
            TrainError: It cannot act on a group, or a group is of another model.
        """
        return owned_by(groups, model)

    def apply(self, model: nn.Module, groups: Groups, *, lr: float) -> None:
        """Take one step in place. Does its own bookkeeping each time: see `step` for a loop.

        Raises:
            TrainError: The penalty keeps something between steps.
        """
        self._check_forgetful()
        self.step(self.owned(model, groups), lr=lr)

    @torch.no_grad()
    def step(
        self, owned: Mapping[str, Parts], *, lr: float, emphasis: Mapping[str, Tensor] | None = None
    ) -> None:
        """Take one step in place on what `owned` returned, which may be kept over a training.

        Args:
            owned: Per group what its units own.
            lr: The optimizer's learning rate.
            emphasis: Per group a factor of the strength for each unit (U,); 1 unless given.
        """
        for name, parts in owned.items():
            factor = 1.0 if emphasis is None else emphasis[name]
            self.listen(parts, lr)
            self.shrink(parts, lr * self.strength * factor)

    def value(self, model: nn.Module, groups: Groups) -> float:
        """Return the penalty of the model as it is, `strength` included.

        Raises:
            TrainError: The penalty keeps something between steps: see `total`.
        """
        self._check_forgetful()
        return self.total(self.owned(model, groups))

    @torch.no_grad()
    def total(self, owned: Mapping[str, Parts]) -> float:
        """Return the penalty of what `owned` returned, `strength` included."""
        return self.strength * math.fsum(self.size(parts).item() for parts in owned.values())

    def _check_forgetful(self) -> None:
        if self.remembers:
            raise TrainError(
                f"{type(self).__name__} keeps gates between steps, which would be forgotten here",
                hint="owned = penalty.owned(model, groups) once, then penalty.step(owned, lr=lr) "
                "after each step, and penalty.total(owned)",
            )

    def listen(self, parts: Parts, lr: float) -> None:  # noqa: B027 - most have nothing to hear
        """Take in what the loss asks for, before `shrink`; nothing but where there are gates."""

    @abstractmethod
    def size(self, parts: Parts) -> Tensor:
        """Return the penalty of one group at strength 1: a scalar."""

    @abstractmethod
    def shrink(self, parts: Parts, amount: Tensor | float) -> None:
        """Take the proximal step of `amount * size` on one group, in place.

        `amount` is one number for all units or one each (U,).
        """
