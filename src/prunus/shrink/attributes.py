"""Sizes in the user's Python that follow a cut: `num_heads`, `out_channels`, `groups`."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from prunus.extents import size_kept
from prunus.records import Plan
from prunus.trace.holders import set_attribute
from prunus.trace.restore import as_it_was


def set_sizes(model: nn.Module, plan: Plan) -> None:
    """Set every attribute of `model` that mirrors a size to its value under `plan`."""
    modules = dict(model.named_modules())
    for attribute in plan.attributes:
        size = size_kept(attribute.extent, plan.counts)
        set_attribute(modules[attribute.module], attribute.attribute, size)


@contextmanager
def sized(model: nn.Module, plan: Plan) -> Iterator[None]:
    """Set the sizes for a while, as for a dry run on fake tensors."""
    with as_it_was(model):
        set_sizes(model, plan)
        yield
