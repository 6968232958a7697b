"""The best affine map in place of an activation, and the layer in front that takes it up."""

import torch
from torch import Tensor, nn

from prunus.linearize.chains import BATCH_NORMS, CONVOLUTIONS


class Affine(nn.Module):
    """scale * x + shift per channel; stands in for an activation until a layer takes it up."""

    def __init__(self, scale_C: Tensor, shift_C: Tensor, dim: int) -> None:
        super().__init__()
        self.scale_C, self.shift_C, self.dim = scale_C, shift_C, dim

    def forward(self, x: Tensor) -> Tensor:
        """Return the mapped tensor, of the shape and dtype of `x`."""
        shape = [1] * x.dim()
        shape[self.dim] = -1
        scale, shift = self.scale_C.to(x.dtype), self.shift_C.to(x.dtype)
        return x * scale.view(shape) + shift.view(shape)


class Probe(nn.Module):
    """Runs an activation and sums up, in float64, what its least-squares line needs."""

    def __init__(self, activation: nn.Module, dim: int) -> None:
        super().__init__()
        self.activation, self.dim = activation, dim
        self.sums: Tensor | None = None
        self.count = 0

    def forward(self, x: Tensor) -> Tensor:
        """Return what the activation returns."""
        x_CN = x.detach().movedim(self.dim, 0).flatten(1).double()
        y: Tensor = self.activation(x)
        y_CN = y.detach().movedim(self.dim, 0).flatten(1).double()
        sums = torch.stack([t.sum(1) for t in (x_CN, y_CN, x_CN * x_CN, x_CN * y_CN)])
        self.sums = sums if self.sums is None else self.sums + sums
        self.count += x_CN.shape[1]
        return y

    def line(self) -> Affine | None:
        """Return the least-squares line of each channel; None where nothing ran through."""
        if self.sums is None:
            return None
        mean_x, mean_y, mean_xx, mean_xy = self.sums / self.count
        variance_C = mean_xx - mean_x**2
        varies_C = variance_C > 1e-12 * mean_xx
        covariance_C = mean_xy - mean_x * mean_y
        scale_C = torch.where(varies_C, covariance_C / variance_C.where(varies_C, 1), 0.0)
        return Affine(scale_C, mean_y - scale_C * mean_x, self.dim)


def channel_dim(layer: nn.Module) -> int:
    """Return the dim of the output of `layer` along which its channels lie.

    Example:
        >>> channel_dim(nn.Linear(2, 3)), channel_dim(nn.Conv2d(2, 3, 1))
        (-1, -3)
    """
    if type(layer) in BATCH_NORMS:
        return 1
    return -1 - CONVOLUTIONS.get(type(layer), 0)


@torch.no_grad()
def take_up(layer: nn.Module, affine: Affine) -> None:
    """Change `layer` in place to compute affine(layer(x)). Exact; it gets a bias if it had none.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> _ = nn.init.ones_(layer.weight), nn.init.ones_(layer.bias)
        >>> take_up(layer, Affine(torch.tensor([2.0]), torch.tensor([3.0]), -1))
        >>> layer.weight.item(), layer.bias.item()
        (2.0, 5.0)
    """
    weight: Tensor = layer.weight  # type: ignore[assignment]
    ensure_bias(layer)
    bias: Tensor = layer.bias  # type: ignore[assignment]
    scale_C = affine.scale_C.to(weight.device)
    shape = (-1, *[1] * (weight.dim() - 1))
    weight.copy_(weight.double() * scale_C.view(shape))
    bias.copy_(bias.double() * scale_C + affine.shift_C.to(weight.device))


def ensure_bias(layer: nn.Module) -> None:
    """Give `layer` a bias of zero where it has none."""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    if layer.bias is None:
        zeros = torch.zeros(weight.shape[0], dtype=weight.dtype, device=weight.device)
        layer.bias = nn.Parameter(zeros, requires_grad=weight.requires_grad)
