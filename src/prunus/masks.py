"""A plan applied as zeros: try it, train through it, undo it.

Nothing is attached to the model: no wrapper, no hook, no renamed tensor. Copies, checkpoints and
exports of a masked model are those of a plain model with zeros in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from prunus.errors import PlanError, check_kind
from prunus.extents import mask_of
from prunus.modes import Replaced, pass_on
from prunus.records import Plan


class Masked:
    """The removed units of a plan at zero, in place, until `undo`.

    Every parameter slice of a removed unit is set to zero: what produces it, its bias and norm,
    and what reads it. So nothing of the unit reaches the output, whatever lies between. Buffers
    are left alone. A block that is taken out whole is skipped: it returns what it is given. An
    activation function that goes returns its line.

    Args:
        model: The dense model that the plan was made for.
        plan: What to keep.

    Raises:
        PlanError: The plan does not fit the model; nothing was changed.

    Cost: one pass over the affected parameters; memory for the values set to zero, and one byte
    per weight where single weights are masked.

    Example:
        >>> from prunus.records import Kept
        >>> layer = nn.Linear(3, 2)
        >>> kept = {"weight": Kept.of(torch.tensor([True, False, True, True, True, False]))}
        >>> with Masked(layer, Plan("weight", kept, {})):
        ...     print((layer.weight == 0).tolist())
        [[False, True, False], [False, False, True]]
        >>> bool((layer.weight == 0).any())
        False
    """

    def __init__(self, model: nn.Module, plan: Plan) -> None:
        check_fits(model, plan)
        lines = {line.module: line.apply for line in plan.lines}
        self._replaced = Replaced(model, {**dict.fromkeys(plan.taken_out, pass_on), **lines})
        parameters = dict(model.named_parameters())
        self._removals = [
            (parameters[name], removal)
            for name, removals in _removals(plan, parameters)
            for removal in removals
        ]
        self._values = [removal.values(parameter) for parameter, removal in self._removals]
        self._handles: list[Any] = []
        self.zero()

    def zero(self) -> None:
        """Set the removed units to zero again."""
        with torch.no_grad():
            for parameter, removal in self._removals:
                removal.zero(parameter)

    def hold(self, optimizer: torch.optim.Optimizer) -> None:
        """Keep the zeros through training with `optimizer`.

        They are set again after every step, so that neither momentum nor weight decay nor
        adaptive steps can bring a removed unit back.
        """
        self._handles.append(optimizer.register_step_post_hook(lambda *_: self.zero()))

    def release(self) -> None:
        """Stop holding zeros; those that are there stay."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def settle(self) -> None:
        """Give up the values that were there before, and free them; `undo` leaves the zeros."""
        self._values.clear()

    def undo(self) -> None:
        """Put the values back that were there before, and stop holding."""
        self.release()
        self._replaced.undo()
        with torch.no_grad():
            for (parameter, removal), values in zip(self._removals, self._values, strict=False):
                removal.restore(parameter, values)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.undo()


@dataclass(frozen=True)
class _Slices:
    """Removed positions of one dim."""

    dim: int
    index: Tensor

    def values(self, parameter: Tensor) -> Tensor:
        return parameter.detach().index_select(self.dim, self.index)

    def zero(self, parameter: Tensor) -> None:
        parameter.index_fill_(self.dim, self.index, 0)

    def restore(self, parameter: Tensor, values: Tensor) -> None:
        parameter.index_copy_(self.dim, self.index, values)


@dataclass(frozen=True)
class _Elements:
    """Removed elements."""

    removed: Tensor

    def values(self, parameter: Tensor) -> Tensor:
        return parameter.detach()[self.removed]

    def zero(self, parameter: Tensor) -> None:
        parameter.masked_fill_(self.removed, 0)

    def restore(self, parameter: Tensor, values: Tensor) -> None:
        parameter[self.removed] = values


_Removal = _Slices | _Elements


def _removals(
    plan: Plan, parameters: dict[str, nn.Parameter]
) -> Iterator[tuple[str, list[_Removal]]]:
    if plan.zeroes:
        for name, kept in plan.kept.items():
            removed = kept.mask().logical_not_().view(parameters[name].shape)
            yield name, [_Elements(removed.to(parameters[name].device))]
        return
    masks = {name: kept.mask() for name, kept in plan.kept.items()}
    for name, extents in plan.tensors.items():
        if name in parameters:
            index_D = [torch.nonzero(~mask_of(extent, masks)).flatten() for extent in extents]
            yield (
                name,
                [
                    _Slices(dim, index.to(parameters[name].device))
                    for dim, index in enumerate(index_D)
                    if index.numel()
                ],
            )


def check_fits(model: nn.Module, plan: Plan) -> None:
    """Raise PlanError unless `model` has the tensors, of the dense shapes, that `plan` names."""
    hint = "pass the dense model itself, such as pruned.dense or a freshly built one"
    check_kind("model", model, nn.Module, PlanError, hint=hint, required=True)
    hint = 'pass pruned.plan, or prunus.load_plan("plan.json")'
    check_kind("plan", plan, Plan, PlanError, hint=hint, required=True)
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    _check_modules(model, plan)
    if not plan.zeroes:
        wanted = {name: tuple(e.size for e in extents) for name, extents in plan.tensors.items()}
        found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    else:
        wanted = {name: (kept.size,) for name, kept in plan.kept.items()}
        found = {name: (tensor.numel(),) for name, tensor in tensors.items()}
    for name, shape in wanted.items():
        if found.get(name) != shape:
            have = f"has shape {found[name]}" if name in found else "does not exist"
            raise _unfit(f"'{name}' {have}, the plan is for {shape}")


def _check_modules(model: nn.Module, plan: Plan) -> None:
    modules = dict(model.named_modules())
    named = [name for names in plan.stacks.values() for name in names]
    named += [name for line in plan.lines for name in (line.module, line.into)]
    named += [name for fold in plan.folds for name in fold.modules]
    for name in named:
        if name not in modules:
            raise _unfit(f"there is no module '{name}'")
    shapes: dict[str, tuple[int, ...]] = {line.into: (len(line.scale),) for line in plan.lines}
    shapes |= {n: shape for f in plan.folds for n, shape in zip(f.modules, f.shapes, strict=True)}
    for name, shape in shapes.items():
        weight = getattr(modules[name], "weight", None)
        found = tuple(weight.shape) if isinstance(weight, Tensor) else ()
        if found[: len(shape)] != shape:
            raise _unfit(f"the weight of '{name}' has shape {found}, the plan is for {shape}")


def _unfit(because: str) -> PlanError:
    return PlanError(
        f"the plan does not fit this model: {because}",
        why="a plan fits only the dense architecture that it was made for",
        hint="build the model as it was before pruning",
    )
