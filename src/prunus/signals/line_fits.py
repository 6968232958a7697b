"""The straight lines that fit activation functions best, by least squares per channel.

Legend: C channels, N numbers in each.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from prunus.data.loader import checked
from prunus.errors import DataError
from prunus.inputs import Inputs, call, device_of
from prunus.links import Line
from prunus.modes import Replaced
from prunus.records import Groups
from prunus.signals.passes import evaluated


def best_lines(
    model: nn.Module,
    groups: Groups,
    data: Iterable[object],
    *,
    kept_U: Mapping[str, Tensor] | None = None,
) -> tuple[Line, ...]:
    """Return a line for each activation function of `groups`, fitted one after the other.

    Each is the least-squares line per channel on what the function reads when those in front of
    it are lines already.

    Args:
        model: The dense model.
        groups: Activation functions, in the order in which they run.
        data: Batches (inputs, targets), or inputs alone; as often as there are groups.
        kept_U: Per group which units stay, bool (U,): of single channels, those that still bend.

    Raises:
        DataError: The data yield no batch, or one holds NaN or infinity, or none reaches one of
            the functions.
    """
    found: dict[str, Line] = {}
    for name, group in groups.items():
        with evaluated(model), Replaced(model, {n: line.apply for n, line in found.items()}):
            batches = (inputs for inputs, _ in checked(data, device=device_of(model)))
            (line,) = fitted(model, {name: group}, batches).values()
            if kept_U is not None and kept_U[name].any():
                line = partly(line, kept_U[name], model)
            found[name] = line
    return tuple(found.values())


def partly(line: Line, bends_C: Tensor, model: nn.Module) -> Line:
    """Return a line for some channels of its function alone; the others bend as they did."""
    module, bends = model.get_submodule(line.module), bends_C.tolist()
    weight = model.get_submodule(line.into).weight
    assert isinstance(weight, Tensor)
    with torch.no_grad():  # it bends at zero: this is its slope below
        slope = (-module(-weight.new_ones(1, len(bends)))).flatten().tolist()
    scale, shift, slopes = zip(
        *(
            (1.0, 0.0, below) if bent else (a, b, 1.0)
            for bent, a, b, below in zip(bends, line.scale, line.shift, slope, strict=True)
        ),
        strict=True,
    )
    return replace(line, scale=scale, shift=shift, slope=slopes)


def fitted(model: nn.Module, groups: Groups, batches: Iterable[Inputs]) -> dict[str, Line]:
    """Return the best line of each activation function, in one pass."""
    sums = {name: _Sums(channel_dim(model, group.taken_up_by)) for name, group in groups.items()}
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


def channel_dim(model: nn.Module, front: str | None) -> int:
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
