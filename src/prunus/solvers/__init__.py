"""Solvers: they choose which weights of a layer go and solve those that stay anew.

A criterion only ranks; a solver returns a mask and new weights, from what the layer reads on
calibration data. `prunus.prune(..., criterion="sparsegpt", granularity="weight", data=...)` runs
one over a model, layer by layer. Every other file of this folder holds one solver and is found by
itself:

    >>> import prunus.solvers
    >>> prunus.solvers.names()
    ('sparsegpt',)
    >>> prunus.solvers.get("sparsegpt")
    SparseGPT(block=16, damping=0.01)
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from prunus.errors import CriterionError, unknown_name
from prunus.solvers.base import Goal, Solution, Solver
from prunus.solvers.layers import solvable, solve

__all__ = ["Goal", "Solution", "Solver", "get", "names", "solvable", "solve"]

_SHARED = ("base", "layers", "matrices", "reading")

for _module in iter_modules(__path__):
    if _module.name not in _SHARED:
        import_module(f"{__name__}.{_module.name}")


def classes() -> dict[str, type[Solver]]:
    """Return the solvers that prunus ships, by class name."""
    shipped = [kind for kind in Solver.__subclasses__() if kind.__module__.startswith(__name__)]
    return {kind.__name__: kind for kind in sorted(shipped, key=lambda kind: kind.__name__)}


def names() -> tuple[str, ...]:
    """Return the names that `get` knows."""
    return tuple(name.lower() for name in classes())


def get(solver: str | Solver) -> Solver:
    """Return the solver of that name, with its defaults; a solver is returned as it is.

    Raises:
        CriterionError: There is none of that name.
    """
    if isinstance(solver, Solver):
        return solver
    for name, kind in classes().items():
        if solver == name.lower():
            return kind()
    raise unknown_name("solver", solver, names(), CriterionError)


def __getattr__(name: str) -> Any:
    """Make `prunus.solvers.SparseGPT` work for every class found."""
    if name in classes():
        return classes()[name]
    raise AttributeError(f"module 'prunus.solvers' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *classes()]
