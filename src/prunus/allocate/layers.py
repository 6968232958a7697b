"""Which layers a group lies in: what allocators that go by shapes and order ask."""

from collections.abc import Mapping

from prunus.allocate.base import Problem
from prunus.errors import BudgetError
from prunus.records import Group, Member


def in_weights(group: Group, problem: Problem) -> tuple[Member, ...]:
    """Return the members of a group that are slices of matrices and kernels."""
    return tuple(member for member in group.members if member.tensor in problem.weights)


def shapes_of(problem: Problem, *, asked_by: object) -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of all weights, in the order in which they run.

    Raises:
        BudgetError: They are not known.
    """
    if not problem.weights:
        raise BudgetError(
            f"{asked_by!r} needs the layers of the model, but none is known",
            why="it goes by their shapes and by the order in which they run",
            hint="pass weights=, or allocation='uniform'",
        )
    return problem.weights
