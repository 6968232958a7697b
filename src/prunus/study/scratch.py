"""A small dense network of the same cost, trained from scratch: what pruning has to beat."""

from collections.abc import Callable

from torch import nn

from prunus import units
from prunus.allocate import Budget
from prunus.errors import StudyError
from prunus.planner import Planner

_RESETS = ("reset_parameters", "_reset_parameters")  # the second is nn.MultiheadAttention's


def forget(model: nn.Module) -> nn.Module:
    """Initialise every parameter and buffer anew, in place, as the modules themselves do.

    Children first, so that a module that initialises its children has the last word. What a model
    sets in its own `__init__` and has no `reset_parameters` for is not repeated. Draws from the
    random state of PyTorch.

    Raises:
        StudyError: See `check_forgettable`.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> _ = nn.init.constant_(layer.weight, 9.0)
        >>> bool((forget(layer).weight == 9).any())
        False
    """
    check_forgettable(model)
    for module in reversed(list(model.modules())):
        reset = _reset_of(module)
        if reset is not None:
            reset()
    return model


def check_forgettable(model: nn.Module) -> None:
    """Raise a StudyError where a module has parameters and no way to initialise them."""
    for name, module in model.named_modules():
        if _reset_of(module) is None and next(module.parameters(recurse=False), None) is not None:
            raise StudyError(
                f"'{name or type(model).__name__}' ({type(module).__name__}) cannot be "
                "initialised anew",
                why="every study trains a small dense network from scratch, and this module has "
                "parameters but no reset_parameters",
                hint=f"give {type(module).__name__} a method reset_parameters()",
            )


def _reset_of(module: nn.Module) -> Callable[[], object] | None:
    for name in _RESETS:
        reset = getattr(module, name, None)
        if callable(reset):
            return reset  # type: ignore[no-any-return]
    return None


def budget_of_same_cost(planner: Planner) -> Budget:
    """Return the budget for a dense network that costs what the planner's budget leaves.

    That is the budget itself, where units are removed. Where weights are zeroed, it is as many
    parameters as are left nonzero, and where activation functions go, as many multiply-adds.

    Raises:
        BudgetError: No plan meets the planner's budget.
    """
    functions = units.straightens(planner.granularity)
    if not (units.zeroes(planner.granularity) or functions):
        return planner.budget
    kept = planner.kept(planner.scores())
    if functions:
        return Budget(macs=planner.costs.macs({name: one.count for name, one in kept.items()}))
    zeros = sum(one.size - one.count for one in kept.values())
    return Budget(params=planner.costs.params({}) - zeros)
