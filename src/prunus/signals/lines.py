"""What activation functions do to outputs and loss when they are the lines that fit them best."""

import torch

from prunus.inputs import call, loss_of
from prunus.links import Line
from prunus.modes import Replaced
from prunus.signals.channel_lines import changes, rises
from prunus.signals.line_fits import fitted
from prunus.signals.passes import batches_of, evaluated, flat_outputs
from prunus.signals.signal import Request, Signal, Values


def collect_change(request: Request) -> Values:
    """Return, per activation function, how much the outputs change when it alone is a line.

    Raises:
        DataError: There is no batch, or one is not finite.

    Cost: n + 2 forward passes over the data for n functions; two and a backward one, where units
        are channels of functions.
    """
    sums = dict.fromkeys(request.groups, 0.0)
    whole = 0.0
    lines = _lines(request)
    if _by_channel(request):
        return {LINE_CHANGE: changes(request, lines)}
    with evaluated(request.model):
        for _, inputs, _targets in batches_of(request):
            dense = flat_outputs(request.model, inputs)
            whole += float(dense.square().sum())
            for name, line in lines.items():
                with Replaced(request.model, {name: line.apply}):
                    change = flat_outputs(request.model, inputs) - dense
                sums[name] += float(change.square().sum())
    return {
        LINE_CHANGE: {n: torch.tensor([total / max(whole, 1e-30)]) for n, total in sums.items()}
    }


def collect_loss(request: Request) -> Values:
    """Return, per activation function, how much the loss rises when it alone is a line.

    Cost: n + 2 forward passes over the data for n functions; two and a backward one, where units
        are channels of functions.
    """
    assert request.loss is not None  # `collect` has checked that
    sums, count = dict.fromkeys(request.groups, 0.0), 0
    lines = _lines(request)
    if _by_channel(request):
        return {LINE_LOSS: rises(request, lines)}
    with evaluated(request.model):
        for _, inputs, targets in batches_of(request):
            dense = float(loss_of(request.loss, call(request.model, inputs), targets))
            count += 1
            for name, line in lines.items():
                with Replaced(request.model, {name: line.apply}):
                    loss = float(loss_of(request.loss, call(request.model, inputs), targets))
                sums[name] += loss - dense
    return {LINE_LOSS: {n: torch.tensor([total / max(count, 1)]) for n, total in sums.items()}}


LINE_CHANGE = Signal(
    name="line_change_U",
    meaning="squared change of the outputs when an activation function is a line, by their square",
    per="group",
    collector=collect_change,
    requires=("data",),
    units="functions",
)
LINE_LOSS = Signal(
    name="line_loss_U",
    meaning="rise of the loss when an activation function is a line",
    per="group",
    collector=collect_loss,
    requires=("data", "loss"),
    units="functions",
)


def _by_channel(request: Request) -> bool:
    return any(group.granularity == "activation_channel" for group in request.groups.values())


def _lines(request: Request) -> dict[str, Line]:
    with evaluated(request.model):
        batches = (inputs for _, inputs, _ in batches_of(request))
        return fitted(request.model, request.groups, batches)
