"""Take back what went for nothing: units that stand alone and save only together with others."""

from prunus.allocate.base import Counts, Problem


def only_needed(problem: Problem, counts: Counts) -> dict[str, int]:
    """Return the counts with those groups whole again that the budget does not need cut.

    One activation function that is a line may let two layers become one, and another lets none.
    Groups of one unit are given back, the highest score first, as long as the budget is met.
    """
    left = dict(counts)
    scores = {name: float(next(problem.pieces(name))[0]) for name in left if _gone(problem, name)}
    for name in sorted(scores, key=scores.__getitem__, reverse=True):
        whole = {**left, name: problem.groups[name].size}
        if not problem.missed(whole):
            left = whole
    return left


def _gone(problem: Problem, name: str) -> bool:
    return problem.groups[name].size == 1 and problem.groups[name].least == 0
