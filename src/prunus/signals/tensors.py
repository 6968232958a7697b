"""What a criterion sees of one group: every signal laid out by units.

Whether a unit is a filter, a column, a head after a flatten, or a single weight, a criterion finds
a matrix with one row per unit. Rows are made when they are read, from the tensors as the model
holds them, and not kept: at most one member at a time is copied, and float32 weights that already
lie in rows are not copied at all.

Legend: U units, K positions a unit owns in a dim, F numbers a unit owns in a tensor.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from prunus.errors import CriterionError
from prunus.extents import Places
from prunus.records import Group
from prunus.signals.signal import Signal, Values

PIECE = 2**18  # units; 1 MB of float32 stays in the cache: 2.5 times as fast as 2**22


@dataclass(frozen=True, kw_only=True)
class Readable:
    """Something whose signals are attributes: exactly those that the criterion's `needs` name."""

    name: str
    tensors: Mapping[str, Tensor] = field(repr=False)
    layout: Callable[[Tensor], Tensor] = field(repr=False)

    def __getattr__(self, signal: str) -> Tensor:
        if signal.startswith("_"):
            raise AttributeError(signal)
        if signal not in self.tensors:
            given = ", ".join(sorted(self.tensors)) or "no signal"
            raise CriterionError(
                f"'{signal}' of '{self.name}' cannot be read",
                why=f"the criterion's `needs` give it {given}",
                hint="name the signal in `needs`; those that end in _UF are read from "
                "group.members, the others from group",
            )
        return self.layout(self.tensors[signal])


@dataclass(frozen=True, kw_only=True)
class MemberTensors(Readable):
    """What the units of a group own in one parameter.

    Attributes:
        name: Name of the parameter.
        reads: Whether the units are inputs of it; see `records.Member`.
        weight_UF, grad_UF, ...: One attribute per signal in the criterion's `needs`, float32
            (U, F). F may differ between members.
    """

    reads: bool = False

    def norm_U(self, signal: str, p: float) -> Tensor:
        """Return the Lp norm of each row of a signal, (U,), without laying out the rows."""
        layout = self.layout
        if not isinstance(layout, _Slices) or signal not in self.tensors:
            return _norm_of_rows(getattr(self, signal), p)
        return layout.norm_U(self.tensors[signal], p)


@dataclass(frozen=True, kw_only=True)
class GroupTensors(Readable):
    """What a criterion sees of one group, or of a run of its units.

    Only parameters are members: buffers, such as running means, are not scored. A number that a
    unit owns twice (the diagonal of a square matrix whose rows and columns are the same units)
    is there twice.

    Attributes:
        name: Name of the group.
        granularity: "channel", "weight", ...
        num_units: U.
        start: Place in the group of the first unit that is seen here.
        members: One per parameter, the producing one first.
        product_square_U, ...: One attribute per group signal in `needs`, float32, U in front.
    """

    granularity: str
    num_units: int
    start: int = 0
    members: tuple[MemberTensors, ...]

    def versions(self) -> list[int]:
        """Return how often each tensor was written: what a criterion may not change."""
        seen = (self, *self.members)
        tensors = [tensor for readable in seen for tensor in readable.tensors.values()]
        return [tensor._version for tensor in tensors if not tensor.is_inference()]


@dataclass(frozen=True)
class Signals:
    """All that was collected for one run, shared by every criterion that reads it.

    Attributes:
        values: Per signal its tensors: by parameter name and in the parameter's shape, or by
            group name and (U, ...). Weights are the model's own, not a copy.
    """

    values: Values

    def of(self, group: Group, needs: frozenset[Signal]) -> GroupTensors:
        """Return `group` with the signals in `needs`. Raises as `pieces` does."""
        return self._slice(group, needs, 0, group.size)

    def pieces(
        self, group: Group, needs: frozenset[Signal], *, size: int = PIECE
    ) -> Iterator[GroupTensors]:
        """Yield `group` in runs of at most `size` units, in order.

        Raises:
            CriterionError: A signal in `needs` was not collected.
        """
        for start in range(0, group.size, size):
            yield self._slice(group, needs, start, min(start + size, group.size))

    def _slice(self, group: Group, needs: frozenset[Signal], start: int, stop: int) -> GroupTensors:
        members = tuple(
            MemberTensors(
                name=member.tensor,
                tensors=self._tensors("member", member.tensor, needs),
                layout=layout_of(group, position, start, stop),
                reads=member.reads,
            )
            for position, member in enumerate(group.members)
            if member.parameter and not group.blocks  # a unit is more than a slice of tensors
        )
        return GroupTensors(
            name=group.name,
            granularity=group.granularity,
            num_units=stop - start,
            start=start,
            members=members,
            tensors=self._tensors("group", group.name, needs),
            layout=partial(_run, start=start, stop=stop),
        )

    def _tensors(
        self, per: Literal["member", "group"], owner: str, needs: frozenset[Signal]
    ) -> dict[str, Tensor]:
        wanted = [signal for signal in needs if signal.per == per]
        for signal in wanted:
            if owner not in self.values.get(signal, {}):
                raise CriterionError(
                    f"'{signal.name}' of '{owner}' was not collected",
                    why=f"the criterion reads it: {signal.meaning}",
                    hint="name the criterion and this group in collect(model, groups, criteria)",
                )
        return {signal.name: self.values[signal][owner] for signal in wanted}


def group_of(
    name: str, values: Mapping[Signal, Tensor | Sequence[Tensor]], *, granularity: str = "channel"
) -> GroupTensors:
    """Return a group made by hand, to try a criterion on.

    Args:
        name: Of the group.
        values: Per signal a tensor with one row per unit; for a signal per member also a list,
            one tensor (U, F) each.
        granularity: Of the group.

    Example:
        >>> from prunus.signals import WEIGHT, group_of
        >>> fc = group_of("fc", {WEIGHT: [torch.ones(4, 3), torch.zeros(4, 1)]})
        >>> fc.num_units, [member.weight_UF.shape[1] for member in fc.members]
        (4, [3, 1])
    """
    listed = {key: [value] if isinstance(value, Tensor) else value for key, value in values.items()}
    of_group = {key.name: tensors[0] for key, tensors in listed.items() if key.per == "group"}
    of_member = {key.name: tensors for key, tensors in listed.items() if key.per == "member"}
    members = tuple(
        MemberTensors(
            name=f"{name}.{position}",
            tensors=dict(zip(of_member, tensors, strict=True)),
            layout=Tensor.float,
        )
        for position, tensors in enumerate(zip(*of_member.values(), strict=True))
    )
    return GroupTensors(
        name=name,
        granularity=granularity,
        num_units=len(next(iter(listed.values()))[0]),
        members=members,
        tensors=of_group,
        layout=Tensor.float,
    )


# -- layouts ----------------------------------------------------------------------------------


def layout_of(group: Group, position: int, start: int, stop: int) -> Callable[[Tensor], Tensor]:
    """Return how to lay out a tensor of the shape of member `position`, for units start:stop."""
    member = group.members[position]
    if member.dim is None:
        return partial(_elements, start=start, stop=stop)
    return _Slices(member.dim, group.places(member).between(start, stop))


@dataclass(frozen=True)
class _Slices:
    """Units own positions along `dim`, and all that lies there: rows (U, K * rest)."""

    dim: int
    places: Places

    def __call__(self, tensor: Tensor) -> Tensor:
        number, _ = self.places.units
        units_first = self._span_of(tensor).movedim(self.dim, 0)
        if self.places.span > number:  # the units own more than one position, or others own some
            index_UK = self.places.of(torch.arange(self.places.span, device=tensor.device))
            units_first = units_first.index_select(0, index_UK.flatten())
        return units_first.reshape(number, -1).float()

    def norm_U(self, tensor: Tensor, p: float) -> Tensor:
        """Return the norms of the rows: of each position along `dim` first."""
        number, _ = self.places.units
        norm_D = _norm_along(self._span_of(tensor), self.dim, p)
        if self.places.span == number:
            return norm_D
        norm_UK = self.places.of(norm_D)
        return norm_UK.squeeze(1) if norm_UK.shape[1] == 1 else _norm_of_rows(norm_UK, p)

    def _span_of(self, tensor: Tensor) -> Tensor:
        whole = self.places.span == tensor.shape[self.dim]
        first, span = self.places.first, self.places.span
        return tensor.detach() if whole else tensor.detach().narrow(self.dim, first, span)


def _norm_along(tensor: Tensor, dim: int, p: float) -> Tensor:
    """Return the norm of what lies at each position along `dim`."""
    if tensor.dim() == 1:
        return tensor.float().abs()
    if dim == 0 or p == torch.inf:
        return _norm_of_rows(tensor.movedim(dim, 0).flatten(1).float(), p)
    # The memory in order, and not one column after another.
    flat = tensor.flatten(0, dim - 1).flatten(1).float()
    power = flat.square() if p == 2 else flat.abs().pow(p)
    size = tensor.shape[dim]
    return power.sum(0).reshape(size, flat.shape[1] // size).sum(1).pow(1 / p)


def _norm_of_rows(rows: Tensor, p: float) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(rows, ord=p, dim=1)
    return norm


def _elements(tensor: Tensor, *, start: int, stop: int) -> Tensor:
    """Every element is a unit, in row-major order: return (stop - start, 1)."""
    row_size = tensor[0].numel()  # whole rows first: only they are copied if memory is not in order
    rows = tensor.detach()[start // row_size : -(-stop // row_size)].reshape(-1)
    skipped = start % row_size
    return rows[skipped : skipped + stop - start].unsqueeze(1).float()


def _run(tensor: Tensor, *, start: int, stop: int) -> Tensor:
    return tensor[start:stop].float()
