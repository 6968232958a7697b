"""Sizes in the user's Python that follow a cut: `num_heads`, `out_channels`, `groups`."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from prunus.extents import size_kept
from prunus.records import Plan
from prunus.trace.sizes import set_attribute


def set_sizes(model: nn.Module, plan: Plan) -> None:
    """Set every attribute of `model` that mirrors a size to its value under `plan`."""
    modules = dict(model.named_modules())
    for attribute in plan.attributes:
        size = size_kept(attribute.extent, plan.counts)
        set_attribute(modules[attribute.module], attribute.attribute, size)


@contextmanager
def sized(model: nn.Module, plan: Plan) -> Iterator[None]:
    """Set the sizes for a while, as for a dry run on fake tensors."""
    modules = dict(model.named_modules())
    touched = {attribute.module for attribute in plan.attributes}
    before = {name: dict(vars(modules[name])) for name in touched}
    try:
        set_sizes(model, plan)
        yield
    finally:
        for name, values in before.items():
            modules[name].__dict__.update(values)
