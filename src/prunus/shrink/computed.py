"""Weights that hooks compute from other parameters, as in `torch.nn.utils.weight_norm`."""

from torch import nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from prunus.modes import flagged

_COMPUTE_WEIGHTS = (WeightNorm, SpectralNorm, BasePruningMethod)


def compute_weights(model: nn.Module) -> None:
    """Compute the weights that hooks make before each `forward`, so that none has its old shape."""
    found = [
        (module, hook)
        for module in model.modules()
        for hook in module._forward_pre_hooks.values()
        if isinstance(hook, _COMPUTE_WEIGHTS)
    ]
    if found:
        with flagged(model, training=False):  # in training spectral norm changes its buffers
            for module, hook in found:
                hook(module, ())
