"""How scores, costs and a budget become a choice of units.

budget.py           what the result may cost
meaning.py          which budgets mean nothing at a granularity
base.py             what an allocator is given and answers
fit.py, weights.py  meeting the budget: units that are removed, weights that are zeroed
tiles.py            weights in blocks and in slots n:m
select.py           the lowest of a hundred million scores
uniform.py, ...     one allocator a file
"""

from collections.abc import Mapping
from dataclasses import replace

from prunus.allocate.base import Allocator, Costs, Counts, Measure, Problem
from prunus.allocate.budget import Budget
from prunus.allocate.erk import ERK
from prunus.allocate.fit import Structured
from prunus.allocate.global_ranking import Global
from prunus.allocate.isomorphic import Isomorphic
from prunus.allocate.knapsack import Knapsack
from prunus.allocate.lamp import LAMP
from prunus.allocate.meaning import check_meaning
from prunus.allocate.needed import only_needed
from prunus.allocate.sensitivity import Sensitivity
from prunus.allocate.tiles import (
    blocks_of,
    measured_on_weights,
    scores_of_blocks,
    slots,
    weights_of,
)
from prunus.allocate.unif_plus import UnifPlus
from prunus.allocate.uniform import Uniform
from prunus.allocate.unreachable import nothing_free, unreachable
from prunus.allocate.weights import Weights
from prunus.errors import BudgetError, unknown_name
from prunus.records import Groups, Kept, Scores
from prunus.units import Tiling, spelled, straightens, zeroes

__all__ = [
    "ERK",
    "LAMP",
    "Allocator",
    "Budget",
    "Costs",
    "Counts",
    "Global",
    "Isomorphic",
    "Knapsack",
    "Measure",
    "Problem",
    "Sensitivity",
    "UnifPlus",
    "Uniform",
    "allocate",
    "check_meaning",
    "default",
    "get",
    "names",
]

_BY_NAME: Mapping[str, type[Allocator]] = {
    "erk": ERK,
    "global": Global,
    "isomorphic": Isomorphic,
    "knapsack": Knapsack,
    "lamp": LAMP,
    "sensitivity": Sensitivity,
    "unif_plus": UnifPlus,
    "uniform": Uniform,
}


def names() -> tuple[str, ...]:
    """Return the names that `get` knows."""
    return tuple(sorted(_BY_NAME))


def default(granularity: str) -> str:
    """Return the allocation that serves a granularity where the user names none.

    A raw global ranking of channels can empty a layer, so each group loses the same share; among
    single weights and blocks it is hard to beat, and activation functions go one by one. Where n
    of every m weights stay there is nothing to share out.

    Example:
        >>> default("channel"), default("weight"), default("4x1"), default("2:4")
        ('uniform', 'global', 'global', 'uniform')
    """
    in_slots = ":" in spelled(granularity)
    ranked = zeroes(granularity) or straightens(granularity)
    return "global" if ranked and not in_slots else "uniform"


def get(allocation: str | Allocator) -> Allocator:
    """Return the allocator of that name; an allocator as it is.

    Raises:
        BudgetError: There is no allocator of that name.

    Example:
        >>> get("global")
        Global(floor=0.0)
    """
    if isinstance(allocation, Allocator):
        return allocation
    if not isinstance(allocation, str) or allocation not in _BY_NAME:
        raise unknown_name("allocation", allocation, _BY_NAME, BudgetError)
    return _BY_NAME[allocation]()


def allocate(  # noqa: PLR0913 - what a problem is made of, all keywords
    groups: Groups,
    *,
    scores: Scores,
    budget: Budget,
    allocation: str | Allocator,
    costs: Costs,
    weights: Mapping[str, tuple[int, ...]] | None = None,
    measure: Measure | None = None,
    tilings: Mapping[str, Tiling] | None = None,
) -> dict[str, Kept]:
    """Choose the units that stay, so that every target of the budget is met.

    Args:
        groups: All groups of the model; frozen ones keep all.
        scores: One score per unit of every other group; larger means keep.
        budget: What the result may cost.
        allocation: An allocator or its name, one of `names()`.
        costs: What a choice of counts costs; counts are by group name. Where weights are zeroed
            only the dense `params({})` is asked for.
        weights: The shapes of all matrices and kernels by name, in the order in which they run:
            what "erk", "unif_plus" and "isomorphic" go by.
        measure: What a choice of units does to the model: what "sensitivity" goes by.
        tilings: How the weights of each free group lie in blocks or slots, where they do.

    Returns:
        Per group that loses units, which stay. Inside a group these are the highest scores; of
        equal scores the unit that comes first goes first. Empty where the dense model meets the
        budget.

    Raises:
        BudgetError: No choice of units meets the budget, or it has no meaning for these groups.
        CriterionError: Scores are NaN, or not one per unit.

    Example:
        >>> from prunus.records import Group
        >>> groups = {"fc1": Group("fc1", "weight", size=4, members=())}
        >>> scores = Scores("by hand", lambda name: iter([torch.tensor([3.0, 1.0, 4.0, 2.0])]))
        >>> class FourNumbers:
        ...     def params(self, counts):
        ...         return 4
        >>> kept = allocate(
        ...     groups, scores=scores, budget=Budget(params=0.5), allocation="global",
        ...     costs=FourNumbers(),
        ... )
        >>> kept["fc1"].mask()
        tensor([ True, False,  True, False])
    """
    if not groups:
        raise BudgetError(
            f"{budget} cannot be met: the model has no group of units",
            hint="prunus.explain(model, example_inputs) shows what was found",
        )
    kinds = {group.granularity for group in groups.values()}
    if "weight" in kinds and len(kinds) > 1:
        raise BudgetError(
            "weights and larger units cannot share one budget",
            why=f"the groups are of granularity {', '.join(sorted(kinds))}; "
            "weights are zeroed, the others removed",
            hint="prune twice: first the larger units, then the weights",
        )
    allocator, tilings = get(allocation), tilings or {}
    blocks = {name: tiling for name, tiling in tilings.items() if tiling.keep is None}
    if blocks:
        groups, scores = blocks_of(groups, blocks), scores_of_blocks(scores, blocks)
        measure = None if measure is None else measured_on_weights(measure, blocks)
    kind = Weights if kinds == {"weight"} else Structured
    problem = kind(
        groups=groups,
        scores=scores,
        budget=budget,
        costs=costs,
        weights=weights or {},
        measure=measure,
    )
    if isinstance(problem, Weights) and blocks:
        problem = replace(problem, area=next(iter(blocks.values())).area)
    if not problem.free:
        raise nothing_free(problem)
    if tilings and not blocks:
        return slots(problem, allocator, tilings)
    if not problem.missed({}):
        return {}
    if problem.missed({name: problem.least(name) for name in problem.free}):
        raise unreachable(problem)
    counts = allocator(problem)
    if "activation" in kinds:
        counts = only_needed(problem, counts)
    kept = problem.kept(counts)
    return weights_of(kept, blocks) if blocks else kept
