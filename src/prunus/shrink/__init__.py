"""A plan applied by removing: smaller tensors in plain modules."""

from prunus.shrink.compose import compose
from prunus.shrink.cut import rebind, shrink

__all__ = ["compose", "rebind", "shrink"]
