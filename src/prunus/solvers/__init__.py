"""Solvers: they choose which weights of a layer go and re-solve those that stay.

A criterion only ranks; a solver returns a mask and new weights, from what the layer reads on
calibration data. `solve_layers` runs one over a model, layer by layer.
"""

from prunus.solvers.base import Solution, Solver
from prunus.solvers.layers import solve_layers
from prunus.solvers.sparsegpt import SparseGPT

__all__ = ["Solution", "Solver", "SparseGPT", "solve_layers"]
