"""What a signal is, and what the function that collects it is given.

A signal is a kind of numbers that criteria read: weights, gradients, activations. Each file of
this folder holds one collector and the signals that come out of its one pass over the data. A new
kind is a new file: a criterion that names its signal in `needs` brings the collector with it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from torch import Tensor, nn

from prunus.inputs import Inputs, Loss
from prunus.records import Groups

Progress: TypeAlias = Callable[[int, int | None], None]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a collector is asked for, and what it may use.

    Attributes:
        signals: The signals wanted, all of this collector.
        model: The model; to be left as it is.
        groups: What will be scored.
        parameters: Every parameter that a unit owns a part of, by name; finite.
        data: Batches (inputs, targets).
        loss: From outputs and targets to one number.
        inputs: Example inputs: what the model was traced with.
        batches: How many batches to read; all where None.
        progress: To be told (batches done, batches in all or None where that is unknown).
    """

    signals: frozenset["Signal"]
    model: nn.Module
    groups: Groups
    parameters: Mapping[str, nn.Parameter]
    data: Iterable[Any] | None = None
    loss: Loss | None = None
    inputs: Inputs | None = None
    batches: int | None = None
    progress: Progress | None = None


Values: TypeAlias = Mapping["Signal", Mapping[str, Tensor]]
Collector: TypeAlias = Callable[[Request], Values]


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One kind of numbers that criteria read.

    Attributes:
        name: The attribute under which it is read. Its suffix names the dims.
        meaning: What the numbers are, for messages.
        per: "member" where each parameter has a tensor of its own shape, read as
            `group.members[i].NAME`, (U, F); "group" where each group has one with U in front,
            read as `group.NAME`.
        collector: Makes it, along with the other signals of the same pass.
        requires: The fields of `Request` that the collector cannot do without.
        units: What it says something about: slices of tensors, whole blocks, or activation
            functions.
    """

    name: str
    meaning: str
    per: Literal["member", "group"]
    collector: Collector
    requires: tuple[str, ...] = ()
    units: Literal["slices", "blocks", "functions"] = "slices"


class Reader(Protocol):
    """Whatever reads signals: a criterion."""

    @property
    def needs(self) -> frozenset[Signal]:
        """The signals that it reads."""
        ...
