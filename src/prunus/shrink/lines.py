"""Let the layers in front take up the lines of a plan, and become one where it says so."""

import copy
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from prunus.cost.folds import Layer, joined
from prunus.links import Line, Window
from prunus.records import Plan
from prunus.trace.links import window_of

_TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d}
_TRANSPOSED[3] = functional.conv_transpose3d


def straighten(model: nn.Module, plan: Plan) -> None:
    """Replace modules of `model` by those that `plan` makes of them.

    New modules take their places, so that the old ones stay what they were; where one is gone
    there is an `nn.Identity`. What a fold takes in are batch norms as in evaluation mode.
    """
    for line in plan.lines:
        model.set_submodule(line.into, taken_up(model.get_submodule(line.into), line))
        if line.slope:
            model.set_submodule(line.module, _bent(model, line))
        else:
            _empty(model, line.module)
    for fold in plan.folds:
        first, *others = fold.modules
        model.set_submodule(first, folded([model.get_submodule(name) for name in fold.modules]))
        for name in others:
            _empty(model, name)


@torch.no_grad()
def taken_up(layer: nn.Module, line: Line) -> nn.Module:
    """Return a layer that computes line(layer(x)): exact, with a bias.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> _ = nn.init.ones_(layer.weight), nn.init.ones_(layer.bias)
        >>> result = taken_up(layer, Line("act", "layer", -1, (2.0,), (3.0,)))
        >>> result.weight.item(), result.bias.item()
        (2.0, 5.0)
    """
    weight = layer.weight
    assert isinstance(weight, Tensor)
    scale_C, shift_C = _double(line.scale, weight), _double(line.shift, weight)
    bias = _bias(layer) * scale_C + shift_C
    result: Any = copy.copy(layer)
    result._parameters = dict(layer._parameters)
    column = scale_C.view(-1, *[1] * (weight.dim() - 1))
    result.weight = _parameter(weight.double() * column, layer)
    result.bias = _parameter(bias, layer)
    renewed: nn.Module = result
    return renewed


@torch.no_grad()
def folded(modules: list[nn.Module]) -> nn.Module:
    """Return the one layer that computes what layers and batch norms in a row compute.

    Where one of them pads with zeros inside, the borders differ: see `prunus.cost.folds.joined`.

    Example:
        >>> one, other = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3, stride=2)
        >>> folded([one, other])
        Conv2d(3, 4, kernel_size=(5, 5), stride=(2, 2))
    """
    first: Any = modules[0]
    numbers = reduce(lambda one, other: one.then(other), map(_Numbers.of, modules))
    window, shape = numbers.layer.window, numbers.layer
    kind: Any = type(first)
    where = {"device": first.weight.device, "dtype": first.weight.dtype}
    result: nn.Module
    if not window.kernel:
        result = kind(shape.inner, shape.outer, **where)
    else:
        result = kind(
            shape.inner, shape.outer, window.kernel, stride=window.stride, padding=window.padding,
            dilation=window.dilation, groups=window.groups, padding_mode=window.mode, **where,
        )  # fmt: skip
    result.weight = _parameter(numbers.weight, first)
    result.bias = _parameter(numbers.bias, first)
    trained = any(p.requires_grad for module in modules for p in module.parameters())
    return result.requires_grad_(trained).train(first.training)


@dataclass(frozen=True)
class _Numbers:
    """A layer in float64, or a batch norm, which has no window that counts."""

    layer: Layer
    weight: Tensor
    bias: Tensor
    norm: bool = False

    @classmethod
    def of(cls, module: Any) -> "_Numbers":
        """Return the numbers of a module."""
        window = window_of(module)
        if window is not None:
            weight = module.weight.double()
            layer = Layer(weight.shape[1] * window.groups, weight.shape[0], window)
            return cls(layer, weight, _bias(module))
        scale = module.weight.double() / (module.running_var.double() + module.eps).sqrt()
        bias = _bias(module) - module.running_mean.double() * scale
        return cls(Layer(len(scale), len(scale), Window()), scale, bias, norm=True)

    def then(self, other: "_Numbers") -> "_Numbers":
        """Return what `other` after this one is."""
        if other.norm:
            column = other.weight.view(-1, *[1] * (self.weight.dim() - 1))
            return _Numbers(self.layer, self.weight * column, self.bias * other.weight + other.bias)
        layer = joined(self.layer, other.layer)
        assert layer is not None, "the plan joins only layers that can be"
        groups = layer.window.groups
        first, second = self.in_groups(groups), other.in_groups(groups)
        parts = list(zip(first, second, self.bias.chunk(groups), strict=True))
        weight = torch.cat([_product(a, b, self.layer.window.stride) for a, b, _ in parts])
        passed = torch.cat([b.reshape(*b.shape[:2], -1).sum(2) @ bias for _, b, bias in parts])
        return _Numbers(layer, weight, passed + other.bias)

    def in_groups(self, groups: int) -> tuple[Tensor, ...]:
        """Return the weight in so many groups; in one where it has more, with zeros between."""
        own = self.layer.window.groups
        if own == groups:
            return self.weight.chunk(groups)
        outer, inner = self.weight.shape[0] // own, self.weight.shape[1]
        dense = self.weight.new_zeros(self.layer.outer, self.layer.inner, *self.weight.shape[2:])
        for k in range(own):
            rows = slice(k * outer, (k + 1) * outer)
            dense[rows, k * inner : (k + 1) * inner] = self.weight[rows]
        return (dense,)


def _product(first: Tensor, second: Tensor, stride: tuple[int, ...]) -> Tensor:
    """Return the weight of the two: the kernel of the first at each place of the second's.

    Args:
        first: (hidden, inner, kernel).
        second: (outer, hidden, kernel).
        stride: Of the first.
    """
    if not stride:
        return second @ first
    spread: Tensor = _TRANSPOSED[len(stride)](second, first, stride=stride)
    return spread


def _bias(layer: Any) -> Tensor:
    if layer.bias is None:
        return torch.zeros(layer.weight.shape[0], dtype=torch.float64, device=layer.weight.device)
    bias: Tensor = layer.bias.double()
    return bias


def _double(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=like.device)


def _parameter(values: Tensor, layer: Any) -> nn.Parameter:
    weight = layer.weight
    data = values.to(weight.dtype)
    last = weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    if last and not weight.is_contiguous():
        data = data.contiguous(memory_format=torch.channels_last)
    return nn.Parameter(data, requires_grad=weight.requires_grad)


def _bent(model: nn.Module, line: Line) -> nn.Module:
    """Return what bends in some channels only; its slopes do not train, so that lines stay."""
    like = model.get_submodule(line.into).weight
    assert isinstance(like, Tensor)
    result = nn.PReLU(len(line.slope), device=like.device, dtype=like.dtype)
    result.weight = nn.Parameter(_double(line.slope, like).to(like.dtype), requires_grad=False)
    return result.train(model.get_submodule(line.module).training)


def _empty(model: nn.Module, name: str) -> None:
    model.set_submodule(name, nn.Identity().train(model.get_submodule(name).training))
