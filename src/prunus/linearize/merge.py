"""Two layers with nothing between them become one, where that is exact and lowers MACs."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from prunus.linearize.chains import BATCH_NORMS, CONVOLUTIONS


def merged(first: nn.Module, second: nn.Module) -> nn.Module | None:
    """Return one layer that computes second(first(x)), or None.

    None where that is not exact at the borders or does not lower MACs, whatever the input size.
    Exact are linear-linear, a 1 x 1 convolution behind any, and any behind a 1 x 1 one unless it
    pads with zeros: there the padding sees zeros where the unmerged pair sees the first's bias.
    Whether a pair merges depends on shapes alone, so that it can be repeated on a fresh model.

    Example:
        >>> merged(nn.Linear(4, 8), nn.Linear(8, 3))
        Linear(in_features=4, out_features=3, bias=True)
        >>> merged(nn.Linear(8, 2), nn.Linear(2, 8)) is None  # 64 multiply-adds instead of 32
        True
    """
    if type(first) is nn.Linear and type(second) is nn.Linear:
        return _linear(first, second)
    if type(first) is type(second) and type(first) in CONVOLUTIONS:
        return _convolution(first, second)
    return None


def folded_norm(convolution: Any, norm: Any) -> nn.Module | None:
    """Return the convolution that computes norm(convolution(x)) in eval mode, or None."""
    dims = CONVOLUTIONS.get(type(convolution))
    if dims is None or BATCH_NORMS.get(type(norm)) != dims:
        return None
    if norm.running_mean is None:
        return None
    training = convolution.training
    fused: nn.Module = fuse_conv_bn_eval(convolution.eval(), norm.eval())
    convolution.train(training)
    norm.train(training)
    return fused.train(training)


def _linear(first: nn.Linear, second: nn.Linear) -> nn.Module | None:
    inner, outer = first.in_features, second.out_features
    if inner * outer >= first.out_features * (inner + outer):
        return None
    result = nn.Linear(inner, outer, device=first.weight.device, dtype=first.weight.dtype)
    weight = second.weight.double() @ first.weight.double()
    return _filled(result, weight, second.weight.double() @ _bias(first), first, second)


def _convolution(first: Any, second: Any) -> nn.Module | None:
    if first.groups != 1 or second.groups != 1:
        return None
    ahead, behind = _positions(first), _positions(second)
    inner, hidden, outer = first.in_channels, first.out_channels, second.out_channels
    if _pointwise(second):
        cheaper = inner * ahead * outer < hidden * (inner * ahead + outer)
        weight = torch.einsum(
            "oh,hi...->oi...", second.weight.double().flatten(1), first.weight.double()
        )
        spatial = first
    elif _pointwise(first) and (second.padding_mode != "zeros" or _unpadded(second)):
        # Before a convolution without padding there are at least as many positions as behind it.
        cheaper = inner * behind * outer < hidden * (outer * behind + inner)
        cheaper = cheaper and (_unpadded(second) or inner <= hidden)
        weight = torch.einsum(
            "oh...,hi->oi...", second.weight.double(), first.weight.double().flatten(1)
        )
        spatial = second
    else:
        return None
    if not cheaper:
        return None
    result = type(first)(
        inner, outer, spatial.kernel_size, stride=spatial.stride, padding=spatial.padding,
        dilation=spatial.dilation, padding_mode=spatial.padding_mode,
        device=first.weight.device, dtype=first.weight.dtype,
    )  # fmt: skip
    passed = second.weight.double().flatten(2).sum(2) @ _bias(first)
    return _filled(result, weight, passed, first, second)


def _positions(convolution: Any) -> int:
    return int(torch.Size(convolution.kernel_size).numel())


def _unpadded(convolution: Any) -> bool:
    padding = convolution.padding
    return padding == "valid" or (not isinstance(padding, str) and not any(padding))


def _pointwise(convolution: Any) -> bool:
    stepless = all(step == 1 for step in convolution.stride)
    return _positions(convolution) == 1 and stepless and _plainly_padded(convolution)


def _plainly_padded(convolution: Any) -> bool:
    return convolution.padding == "same" or _unpadded(convolution)


def _bias(layer: Any) -> Tensor:
    if layer.bias is None:
        return torch.zeros(layer.weight.shape[0], dtype=torch.float64, device=layer.weight.device)
    bias: Tensor = layer.bias.double()
    return bias


@torch.no_grad()
def _filled(result: Any, weight: Tensor, bias: Tensor, first: Any, second: Any) -> nn.Module:
    result.weight.copy_(weight)
    result.bias.copy_(bias + _bias(second))
    trained = first.weight.requires_grad or second.weight.requires_grad
    filled: nn.Module = result.requires_grad_(trained).train(first.training)
    return filled
