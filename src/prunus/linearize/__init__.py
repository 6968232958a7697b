"""Pruning activation functions: each becomes an affine map, and neighbouring layers merge."""

from prunus.linearize.remove import Linearized, linearize, linearized_architecture

__all__ = ["Linearized", "linearize", "linearized_architecture"]
