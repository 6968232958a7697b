"""Linear layers and convolutions as products of matrices.

Legend for tensor names: G groups of a convolution, O outputs of a group, I inputs of one output
(kernel positions, and channels within each), N places where a layer was read.
"""

from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

Convolution: TypeAlias = nn.Conv1d | nn.Conv2d | nn.Conv3d
Layer: TypeAlias = nn.Linear | Convolution
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def read_by(layer: Layer, inputs: Tensor) -> Tensor:
    """Return what each place of the output reads, (G, N, I).

    Example:
        >>> layer = nn.Conv1d(2, 3, kernel_size=2)
        >>> read_GNI = read_by(layer, torch.randn(4, 2, 9))
        >>> read_GNI.shape, as_matrices(layer).shape
        (torch.Size([1, 32, 4]), torch.Size([1, 3, 4]))
    """
    if isinstance(layer, nn.Linear):
        return inputs.reshape(1, -1, inputs.shape[-1])
    dims = len(layer.kernel_size)
    if inputs.dim() == dims + 1:
        inputs = inputs.unsqueeze(0)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    windows = functional.pad(inputs, layer._reversed_padding_repeated_twice, mode=mode)
    for dim in range(dims):
        step, gap = layer.stride[dim], layer.dilation[dim]
        reach = gap * (layer.kernel_size[dim] - 1) + 1
        windows = windows.unfold(2 + dim, reach, step)[..., ::gap]
    # (B, C, places, kernel) -> (G, B, places, kernel, C / G)
    grouped = torch.unflatten(windows, 1, (layer.groups, -1)).movedim(2, -1).movedim(1, 0)
    size: int = layer.weight[0].numel()
    return grouped.reshape(layer.groups, -1, size)


def geometry(layer: Layer) -> tuple[object, ...]:
    """Return what decides, for given inputs, what a layer reads: equal ones read the same."""
    if isinstance(layer, nn.Linear):
        return ()
    return (
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
        layer.padding_mode,
    )


def as_matrices(layer: Layer) -> Tensor:
    """Return the weight as (G, O, I)."""
    groups = 1 if isinstance(layer, nn.Linear) else layer.groups
    return layer.weight.detach().movedim(1, -1).reshape(groups, -1, layer.weight[0].numel())


def as_weight(layer: Layer, values_GOI: Tensor) -> Tensor:
    """Return (G, O, I) in the shape of the layer's weight."""
    shape = layer.weight.shape
    return values_GOI.reshape(shape[0], *shape[2:], shape[1]).movedim(-1, 1)
