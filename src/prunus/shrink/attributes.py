"""Sizes in the user's Python that follow a cut: `num_heads`, `out_channels`, `groups`."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from prunus.extents import size_kept
from prunus.modes import flagged
from prunus.records import Plan
from prunus.trace.holders import set_attribute
from prunus.trace.restore import as_it_was


def set_sizes(model: nn.Module, plan: Plan) -> None:
    """Set every attribute of `model` that mirrors a size to its value under `plan`."""
    modules = dict(model.named_modules())
    for attribute in plan.attributes:
        size = size_kept(attribute.extent, plan.counts)
        set_attribute(modules[attribute.module], attribute.attribute, size)


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


@contextmanager
def sized(model: nn.Module, plan: Plan) -> Iterator[None]:
    """Set the sizes for a while, as for a dry run on fake tensors."""
    with as_it_was(model):
        set_sizes(model, plan)
        yield
