"""The straight lines that fit activation functions best, and what they do to outputs and loss."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from prunus.data.loader import checked
from prunus.errors import DataError
from prunus.inputs import Inputs, call, device_of, loss_of, tensors_in
from prunus.links import Line
from prunus.modes import Replaced
from prunus.records import Groups
from prunus.signals.passes import batches_of, evaluated
from prunus.signals.signal import Request, Signal, Values


def best_lines(model: nn.Module, groups: Groups, data: Iterable[object]) -> tuple[Line, ...]:
    """Return a line for each activation function of `groups`, fitted one after the other.

    Each is the least-squares line per channel on what the function reads when those in front of
    it are lines already.

    Args:
        model: The dense model.
        groups: Activation functions, in the order in which they run.
        data: Batches (inputs, targets), or inputs alone; as often as there are groups.

    Raises:
        DataError: The data yield no batch, or one holds NaN or infinity, or none reaches one of
            the functions.
    """
    found: dict[str, Line] = {}
    for name, group in groups.items():
        with evaluated(model), Replaced(model, {n: line.apply for n, line in found.items()}):
            batches = (inputs for inputs, _ in checked(data, device=device_of(model)))
            found |= _fitted(model, {name: group}, batches)
    return tuple(found.values())


def collect_change(request: Request) -> Values:
    """Return, per activation function, how much the outputs change when it alone is a line.

    Raises:
        DataError: There is no batch, or one is not finite.

    Cost: n + 2 forward passes over the data for n functions.
    """
    sums = dict.fromkeys(request.groups, 0.0)
    whole = 0.0
    lines = _lines(request)
    with evaluated(request.model):
        for _, inputs, _targets in batches_of(request):
            dense = _outputs(request.model, inputs)
            whole += float(dense.square().sum())
            for name, line in lines.items():
                with Replaced(request.model, {name: line.apply}):
                    change = _outputs(request.model, inputs) - dense
                sums[name] += float(change.square().sum())
    return {
        LINE_CHANGE: {n: torch.tensor([total / max(whole, 1e-30)]) for n, total in sums.items()}
    }


def collect_loss(request: Request) -> Values:
    """Return, per activation function, how much the loss rises when it alone is a line.

    Cost: n + 2 forward passes over the data for n functions.
    """
    assert request.loss is not None  # `collect` has checked that
    sums, count = dict.fromkeys(request.groups, 0.0), 0
    lines = _lines(request)
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


def _lines(request: Request) -> dict[str, Line]:
    with evaluated(request.model):
        batches = (inputs for _, inputs, _ in batches_of(request))
        return _fitted(request.model, request.groups, batches)


def _fitted(model: nn.Module, groups: Groups, batches: Iterable[Inputs]) -> dict[str, Line]:
    """Return the best line of each activation function, in one pass."""
    sums = {name: _Sums(_channel_dim(model, group.taken_up_by)) for name, group in groups.items()}
    handles = []
    try:
        for name, one in sums.items():
            module = model.get_submodule(name)
            handles.append(module.register_forward_pre_hook(one.read))
            handles.append(module.register_forward_hook(one.wrote))
        for inputs in batches:
            call(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return {
        name: Line(name, group.taken_up_by or "", sums[name].dim, *sums[name].line(name))
        for name, group in groups.items()
    }


def _channel_dim(model: nn.Module, front: str | None) -> int:
    """Return the dim of what a layer makes along which its channels lie."""
    weight = model.get_submodule(front or "").weight
    assert isinstance(weight, Tensor)
    return 1 if weight.dim() == 1 else 1 - weight.dim()  # a batch norm has (N, C, ...)


class _Sums:
    """What least squares need of a function's inputs x and outputs y, per channel, in float64."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._x_CN = torch.zeros(0)
        self._sums: Tensor | None = None
        self._count = 0

    def read(self, _: nn.Module, args: tuple[Tensor]) -> None:
        """Note x, before a function that works in place overwrites it."""
        self._x_CN = self._rows(args[0])

    def wrote(self, _: nn.Module, __: tuple[Tensor], output: Tensor) -> None:
        """Add up."""
        x_CN, y_CN = self._x_CN, self._rows(output)
        sums = torch.stack([t.sum(1) for t in (x_CN, y_CN, x_CN * x_CN, x_CN * y_CN)])
        self._sums = sums if self._sums is None else self._sums + sums
        self._count += x_CN.shape[1]

    def line(self, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return scale and shift per channel; where x never varies, the mean of y alone."""
        if self._sums is None:
            raise DataError(
                f"nothing ran through '{name}'",
                why="a line is fitted to what an activation function reads on the data",
                hint="give data that reach every activation function, or exclude=... it",
            )
        mean_x, mean_y, mean_xx, mean_xy = self._sums / self._count
        variance_C = mean_xx - mean_x**2
        varies_C = variance_C > 1e-12 * mean_xx
        covariance_C = mean_xy - mean_x * mean_y
        scale_C = torch.where(varies_C, covariance_C / variance_C.where(varies_C, 1), 0.0)
        shift_C = mean_y - scale_C * mean_x
        return tuple(scale_C.tolist()), tuple(shift_C.tolist())

    def _rows(self, tensor: Tensor) -> Tensor:
        return tensor.detach().movedim(self.dim, 0).flatten(1).double()


def _outputs(model: nn.Module, inputs: Inputs) -> Tensor:
    tensors = [t for t in tensors_in(call(model, inputs)) if t.is_floating_point()]
    return torch.cat([tensor.double().flatten() for tensor in tensors])
