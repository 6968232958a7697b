"""The records that the stages of prunus hand to each other: the glossary of the project.

    trace -> Graph -> units -> Groups -> signals + criteria -> Scores -> allocate -> Plan
    -> masks or shrink -> verify -> Report

All are frozen; none holds a module. Names of parameters and buffers are those of
`model.named_parameters()` and `model.named_buffers()`.

Legend for tensor names: U units of a group, K positions a unit owns in a dim, F numbers a unit
owns in a tensor.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prunus.extents import Extent, Places, size_kept
from prunus.links import Block, Fold, Line, Link
from prunus.text import amount, duration, share

# -- trace ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Value:
    """A tensor that an operator read or wrote.

    Attributes:
        shape: Its sizes.
        extents: What each dim is made of, one per dim.
        dtype: Its element type.
        name: Name of the parameter or buffer that it is, else None.
    """

    shape: tuple[int, ...]
    extents: tuple[Extent, ...]
    dtype: torch.dtype
    name: str | None = None


@dataclass(frozen=True)
class Operator:
    """One ATen operator that ran.

    Attributes:
        name: Its name without the overload, such as "convolution".
        inputs: Its tensor arguments in order; None where an optional one was left out.
        outputs: The tensors that it returned.
        arguments: Its other arguments by the name in the operator's schema.
        location: The user's source line that called it, "model.py:42".
        function: What PyTorch runs, to be run again; None where nothing ran.
    """

    name: str
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    arguments: Mapping[str, Any]
    location: str
    function: Any = None


@dataclass(frozen=True)
class Axis:
    """One independent extent of the model.

    Attributes:
        name: Unique; made from the parameter that first produces it.
        size: Number of units.
        frozen_because: Why no unit may be removed, else None.
        inexact_because: Why removing a unit changes more than its own contribution; empty where
            removal is exact.
        role: What its units are: "channel", "head", "head_dim", "width" or "expert".
        corrected: Whether corrections undo all of `inexact_because`, up to the epsilon of a norm.
    """

    name: str
    size: int
    frozen_because: str | None = None
    inexact_because: tuple[str, ...] = ()
    role: str = "channel"
    corrected: bool = False


@dataclass(frozen=True)
class Correction:
    """What a parameter is multiplied with after a cut: (size kept / size) ** exponent.

    Attributes:
        tensor: Name of the parameter, such as the weight of an RMSNorm.
        extent: Whose size counts.
        exponent: -0.5 where a mean of squares is taken over the extent.
    """

    tensor: str
    extent: Extent
    exponent: float

    def factor(self, counts: Mapping[str, int]) -> float:
        """Return the factor when `counts[axis]` units of each named axis are kept."""
        return float((size_kept(self.extent, counts) / self.extent.size) ** self.exponent)


@dataclass(frozen=True)
class SizeAttribute:
    """A number in the user's Python that supplies a size.

    Attributes:
        module: Name of the module that holds it ("" for the model itself).
        attribute: Path below the module: "num_heads", or "normalized_shape.0" inside a tuple.
        extent: What the size is made of, so that it can be set after a cut.
    """

    module: str
    attribute: str
    extent: Extent


@dataclass(frozen=True)
class Graph:
    """All that a trace learned: every operator that ran, and what each tensor dim is made of.

    Attributes:
        axes: By name. Fixed extents are not listed.
        tensors: Every parameter and buffer by its first name; the ones that share memory under
            another name are in `aliases`.
        parameters: Names of those in `tensors` that are parameters.
        aliases: Other name -> first name, for tied parameters and buffers.
        operators: In the order in which they ran.
        attributes: Sizes in the user's Python that must follow a cut.
        unreached: Parameters that no operator read.
        output_dims: Per parameter the dim along which it makes new units; 0 but for transposed
            layouts.
        weights: The parameters that are matrices or kernels: what they are multiplied with is
            summed over.
        corrections: What makes up for cuts that are not exact by themselves.
        blocks: The residual blocks that stand in rows.
        links: The modules without parts that ran, in order.
        way: What the model was run on: "hollow" or "fake" tensors, which have only a shape, or
            "real" ones, where it does not run on those.
    """

    axes: Mapping[str, Axis]
    tensors: Mapping[str, Value]
    parameters: frozenset[str]
    aliases: Mapping[str, str]
    operators: tuple[Operator, ...]
    attributes: tuple[SizeAttribute, ...]
    unreached: tuple[str, ...]
    output_dims: Mapping[str, int]
    weights: frozenset[str] = frozenset()
    way: str = "hollow"
    corrections: tuple[Correction, ...] = ()
    blocks: tuple[Block, ...] = ()
    links: tuple[Link, ...] = ()


# -- units ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """The slices of one tensor that the units of a group own.

    Attributes:
        tensor: Name of the parameter or buffer.
        dim: The dim that the units lie along, or None where every element is a unit.
        occurrence: Which time the axis occurs in that dim (0 unless it occurs again).
        extent: What the dim is made of; None where every element is a unit.
        parameter: Whether the tensor is a parameter (else a buffer).
        produces: Whether it makes the units, or scales and shifts them.
        reads: Whether it is a weight that the units are inputs of.
    """

    tensor: str
    dim: int | None
    extent: Extent | None = None
    occurrence: int = 0
    parameter: bool = True
    produces: bool = False
    reads: bool = False


@dataclass(frozen=True)
class Group:
    """All units of one axis, which are kept or removed one by one, with all that each owns.

    Attributes:
        name: Name of the axis; of the tensor where every weight is a unit.
        granularity: What its units are: "channel", "head", ..., "weight".
        size: Number of units.
        members: What the units own, the producing parameter first.
        inexact_because: See `Axis`; empty where removal is exact.
        frozen_because: Why no unit may be removed, else None.
        corrected: See `Axis`.
        blocks: Where its units are whole modules, their names, one a unit; where they are
            channels of an activation function, its name.
        least: The fewest units that may stay.
        taken_up_by: The layer in front that takes up the line of an activation function.
    """

    name: str
    granularity: str
    size: int
    members: tuple[Member, ...]
    inexact_because: tuple[str, ...] = ()
    frozen_because: str | None = None
    corrected: bool = False
    blocks: tuple[str, ...] = ()
    least: int = 1
    taken_up_by: str | None = None

    @property
    def exact(self) -> bool:
        """Whether removing units computes what zeroing them computes."""
        return not self.inexact_because

    def places(self, member: Member) -> Places:
        """Return where the units lie in the dim of a member that has an extent."""
        assert member.extent is not None
        return member.extent.places[self.name][member.occurrence]

    @cached_property
    def index_UK(self) -> tuple[Tensor, ...]:
        """Per member an int64 tensor (U, K): the positions in the member's dim that a unit owns."""
        return tuple(self.places(each).index_UK for each in self.members if each.extent is not None)


Groups = Mapping[str, Group]


# -- criteria ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scores:
    """One score per unit; larger means keep.

    Scores come in pieces, so that a hundred million weights are ranked without a second copy.

    Attributes:
        criterion: What made them, such as "Magnitude(p=2)".
        stream: Group name -> its scores, float32, in pieces (U',) that join to (U,). May be
            called again and gives the same.
    """

    criterion: str
    stream: Callable[[str], Iterator[Tensor]]

    def __getitem__(self, group: str) -> Tensor:
        """Return the scores of one group, float32 (U,)."""
        return torch.cat(list(self.stream(group)))


# -- allocate ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kept:
    """Which units of a group stay: one bit a unit.

    Attributes:
        size: Number of units.
        bits: uint8 (ceil(size / 8),), first unit in the highest bit.
    """

    size: int
    bits: Tensor

    @classmethod
    def of(cls, mask_U: Tensor) -> "Kept":
        """Pack a bool tensor (U,)."""
        bits = np.packbits(mask_U.detach().cpu().numpy())
        return cls(mask_U.numel(), torch.from_numpy(bits))

    def mask(self) -> Tensor:
        """Return a bool tensor (U,): True where the unit stays."""
        bits = np.unpackbits(self.bits.numpy(), count=self.size)
        return torch.from_numpy(bits.view(np.bool_))

    @cached_property
    def count(self) -> int:
        """Number of units that stay."""
        return int(np.bitwise_count(self.bits.numpy()).sum())


@dataclass(frozen=True)
class Plan:
    """The decision: which units stay. Enough to cut a freshly built dense model.

    Attributes:
        granularity: How the model was cut into units.
        kept: Per group, which units stay. Groups that are absent keep all.
        tensors: What each dim of each affected parameter and buffer is made of, in the dense
            model; empty where weights are zeroed and no shape changes.
        attributes: Sizes in the user's Python that follow the cut.
        provenance: How the plan was made: versions, seed, budget, criterion, allocation.
        corrections: What the cut multiplies parameters with.
        stacks: Per group whose units are whole blocks, their names in the dense model.
        lines: What stands in for the activation functions that go.
        folds: The layers that become one.

    Example:
        >>> kept = {"fc": Kept.of(torch.tensor([True, False, True, True]))}
        >>> from prunus.extents import Leaf
        >>> plan = Plan("channel", kept, {"fc.weight": (Leaf(4, "fc"), Leaf(8))})
        >>> plan.counts
        {'fc': 3}
    """

    granularity: str
    kept: Mapping[str, Kept]
    tensors: Mapping[str, tuple[Extent, ...]]
    attributes: tuple[SizeAttribute, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    corrections: tuple[Correction, ...] = ()
    stacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    folds: tuple[Fold, ...] = ()

    @property
    def zeroes(self) -> bool:
        """Whether single weights are set to zero and nothing is removed."""
        return not (self.tensors or self.stacks or self.lines)

    @cached_property
    def taken_out(self) -> tuple[str, ...]:
        """Names of the modules that are removed, in the dense model."""
        return tuple(
            name
            for group, names in self.stacks.items()
            if group in self.kept
            for name, stays in zip(names, self.kept[group].mask().tolist(), strict=True)
            if not stays
        )

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Per group the number of units that stay."""
        return {name: kept.count for name, kept in self.kept.items()}


# -- cost -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Latency:
    """Measured time of one forward pass, in milliseconds.

    Attributes:
        median: Median over the runs.
        lower: Lower quartile.
        upper: Upper quartile.
        runs: How many runs were timed, after warm-up.
        batch: Size of the batch.
        threads: CPU threads that PyTorch used.
        device: "cpu", "cuda:0", ...
    """

    median: float
    lower: float
    upper: float
    runs: int
    batch: int
    threads: int
    device: str


@dataclass(frozen=True)
class Cost:
    """What a model costs. Counted figures are exact; measured ones are None until measured.

    Attributes:
        params: Numbers in the parameters; tied parameters count once.
        nonzero: How many of them are not zero.
        macs: Multiply-adds of one forward pass at the example inputs, in convolutions, linear
            layers, matrix products and attention. Zeros in a dense tensor count as work.
        bytes: Of all parameters and buffers that a file stores, tied ones once.
        latency: See `Latency`.
        peak_memory: Largest memory that one forward pass allocates, in bytes.
    """

    params: int
    nonzero: int
    macs: int
    bytes: int
    latency: Latency | None = None
    peak_memory: int | None = None


# -- verify -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Agreement:
    """How far the shrunk model is from the masked one.

    Attributes:
        difference: Largest absolute difference over all outputs.
        tolerance: Largest difference that rounding explains.
        batches: Batch sizes at which the two were compared.
        inexact_because: Why they need not agree: what was removed, at the user's wish, is not
            exact. Then the difference is measured and not held to the tolerance.
        names: What the result and the model that it is compared with are called.
        empty: Whether no output held a number, so that only shapes were compared.
    """

    difference: float
    tolerance: float
    batches: tuple[int, ...]
    inexact_because: tuple[str, ...] = ()
    names: tuple[str, str] = ("shrunk", "masked")
    empty: bool = False

    def __str__(self) -> str:
        result, other = self.names
        if self.empty:
            return f"{other} and {result} return empty tensors only: nothing could be compared"
        found, allowed = self.difference, self.tolerance
        if not self.inexact_because or found <= allowed:
            return f"{other} == {result}: largest difference {found:.1e}, rounding {allowed:.1e}"
        because = "; ".join(self.inexact_because)
        return (
            f"{result} differs from {other} by {found:.1e}: the cut is not exact, since {because}"
        )


# -- report -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class GroupRow:
    """One line of a report.

    Attributes:
        name: Of the group.
        size: Units in the dense model.
        kept: Units that stay.
        frozen_because: Why nothing may be removed, else None.
        inexact_because: Why removal would not be exact.
    """

    name: str
    size: int
    kept: int
    frozen_because: str | None = None
    inexact_because: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What was kept where, what it cost, what was frozen and why.

    Attributes:
        before: Cost of the dense model.
        after: Cost of the result.
        groups: One row per group, frozen ones included.
        agreement: The check that masked equals shrunk; None where it was switched off or where
            no shape changed.
        unreached: Parameters that no operator read in the trace.
        provenance: Versions, seed, budget, criterion, allocation, granularity.
        seconds: Wall time of each stage.
        notes: What else happened, in sentences.
    """

    before: Cost
    after: Cost
    groups: tuple[GroupRow, ...]
    agreement: Agreement | None
    unreached: tuple[str, ...]
    provenance: Mapping[str, Any]
    seconds: Mapping[str, float]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = ["             before      after   kept"]
        for figure in ("params", "nonzero", "macs", "bytes"):
            one, other = getattr(self.before, figure), getattr(self.after, figure)
            lines.append(f"{figure:8} {amount(one):>10} {amount(other):>10} {share(other, one):>7}")
        if self.before.latency is not None and self.after.latency is not None:
            dense, small = self.before.latency.median, self.after.latency.median
            times = f"{duration(dense):>10} {duration(small):>10}"
            lines.append(f"latency  {times} {share(small, dense):>7}")
        cut = [row for row in self.groups if row.kept < row.size]
        frozen = [row for row in self.groups if row.frozen_because is not None]
        lines.append(
            f"{len(cut)} of {len(self.groups)} groups lost units; {len(frozen)} are frozen:"
        )
        lines += [f"  {row.name} ({row.size}): {row.frozen_because}" for row in frozen]
        if self.unreached:
            lines.append(f"parameters that no operator read: {', '.join(self.unreached)}")
        lines += self.notes
        if self.agreement is not None:
            lines.append(str(self.agreement))
        return "\n".join(lines)
