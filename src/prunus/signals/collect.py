"""Collects, once per run, every signal that the criteria of the run read."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from prunus.data.loader import check_data
from prunus.errors import CriterionError
from prunus.inputs import Inputs, Loss, check_loss_function
from prunus.records import Groups
from prunus.signals.signal import Collector, Progress, Reader, Request, Signal
from prunus.signals.tensors import Signals
from prunus.signals.weights import scored_parameters


def collect(  # noqa: PLR0913 - what a run has, all keywords
    model: nn.Module,
    groups: Groups,
    criteria: Sequence[Reader],
    *,
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
    inputs: Inputs | None = None,
    batches: int | None = None,
    progress: Progress | None = None,
) -> Signals:
    """Return all signals that `criteria` read, of all `groups`.

    Criteria that read weights alone cost no pass over the data; all that read gradients share
    one. The model is left as it was.

    Args:
        model: The model that the groups are of.
        groups: What will be scored. Only parameters that they own parts of are differentiated, so
            leave frozen groups out.
        criteria: What will score.
        data: Batches (inputs, targets), for criteria that need them.
        loss: From outputs and targets to one number, for criteria that need it.
        inputs: Example inputs, for criteria that run the model without data.
        batches: Read at most so many batches.
        progress: Called with (batches done, batches in all or None) after each batch.

    Raises:
        CriterionError: A criterion lacks what it needs or is for other units, or a weight is not
            finite.
        DataError: There is no batch, or one, its loss or a gradient is not finite.

    Example:
        >>> from prunus.criteria import Taylor
        >>> from prunus.records import Group, Member
        >>> from prunus.signals import collect
        >>> fc = Group("weight", "weight", 8, (Member("weight", None),))
        >>> data = [(torch.randn(16, 4), torch.randint(2, (16,)))]
        >>> collected = collect(
        ...     nn.Linear(4, 2), {"weight": fc}, [Taylor()], data=data, loss=nn.CrossEntropyLoss()
        ... )
        >>> [signal.name for signal in collected.values]
        ['product_square_U']
    """
    request = Request(
        signals=frozenset().union(*(criterion.needs for criterion in criteria)),
        model=model,
        groups=groups,
        parameters={},
        data=data,
        loss=loss,
        inputs=inputs,
        batches=batches,
        progress=progress,
    )
    if data is not None:
        check_data(data)
    if loss is not None:
        check_loss_function(loss, CriterionError)
    for criterion in criteria:
        for signal in _in_order(criterion.needs):
            _check_available(criterion, signal, request)
            _check_units(criterion, signal, groups)
    request = replace(request, parameters=scored_parameters(model, groups))

    wanted: dict[Collector, set[Signal]] = defaultdict(set)
    for signal in _in_order(request.signals):
        wanted[signal.collector].add(signal)
    values: dict[Signal, Mapping[str, Tensor]] = {}
    for collector, signals in wanted.items():
        values.update(collector(replace(request, signals=frozenset(signals))))
    return Signals(values)


def _in_order(signals: Iterable[Signal]) -> list[Signal]:
    return sorted(signals, key=lambda signal: signal.name)


def _check_available(criterion: Reader, signal: Signal, request: Request) -> None:
    missing = [field for field in signal.requires if getattr(request, field) is None]
    if missing:
        raise CriterionError(
            f"{criterion!r} needs {' and '.join(missing)}, but none was given",
            why=f"it reads {signal.name}: {signal.meaning}",
            hint=f"pass {', '.join(_HOW_TO_PASS.get(field, field) for field in missing)}",
        )


def _check_units(criterion: Reader, signal: Signal, groups: Groups) -> None:
    """Raise where a signal says nothing about units of the kind that a group has."""
    for group in groups.values():
        kind = "functions" if group.taken_up_by else "blocks" if group.blocks else "slices"
        if signal.units != kind:
            unit = group.blocks[0] if group.blocks else group.name
            what, hint = _KINDS[kind]
            raise CriterionError(
                f"{criterion!r} cannot score {what} such as '{unit}'",
                why=f"it reads {signal.name}, the {signal.meaning}",
                hint=hint,
            )


_KINDS = {
    "slices": ("units that are slices of tensors", 'criterion="magnitude"'),
    "blocks": ("whole blocks", 'criterion="block_influence", or criterion="greedy_loss"'),
    "functions": ("activation functions", 'criterion="linear_damage", or criterion="linear_loss"'),
}
_HOW_TO_PASS = {
    "data": "data=loader",
    "inputs": "inputs=example_inputs",
    "loss": "loss=nn.CrossEntropyLoss()",
}
