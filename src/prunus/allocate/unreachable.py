"""The error for a budget that no choice of units meets."""

from fractions import Fraction
from math import ceil, floor

from prunus.allocate.base import Counts, Problem
from prunus.errors import BudgetError
from prunus.text import amount

_SHOWN = 4  # frozen groups that the message lists


def unreachable(problem: Problem) -> BudgetError:
    """Return the error that names the smallest figures within reach and what holds them."""
    smallest = {name: problem.least(name) for name in problem.free}
    given, has, asks = _figures(problem, smallest)
    return BudgetError(
        f"{given} cannot be met: the smallest model that keeps {_floors(problem)} has {has}",
        why=_why(problem),
        hint=_hint(problem, asks),
    )


def fixed(problem: Problem, counts: Counts) -> BudgetError:
    """Return the error for a budget below what slots, of which so many weights stay, leave."""
    given, has, asks = _figures(problem, counts)
    frozen = [group for group in problem.groups.values() if group.frozen_because is not None]
    return BudgetError(
        f"{given} cannot be met: the slots leave {has}",
        why=f"n of every m weights fix how many go, and what is in no slot stays; {_why(problem)}"
        if frozen
        else "n of every m weights fix how many go, and what is in no slot, such as a bias, stays",
        hint=f"leave the budget out, or {_hint(problem, asks)}",
    )


def nothing_free(problem: Problem) -> BudgetError:
    """Return the error for a model of which no group may lose units."""
    return BudgetError(
        f"{problem.budget} cannot be met: no group of the model may lose units",
        why=_why(problem),
        hint="prunus.explain(model, example_inputs) shows every group; or prune single weights: "
        "granularity='weight'",
    )


def _figures(problem: Problem, counts: Counts) -> tuple[str, str, list[str]]:
    """Return the targets that `counts` misses, what it has instead, and demands that it meets."""
    missed = problem.missed(counts)
    given = ", ".join(f"{target}={getattr(problem.budget, target)}" for target in missed)
    figures = {t: (problem.cost(t, counts), problem.cost(t, {})) for t in missed}
    has = " and ".join(
        f"{_up(Fraction(figure, dense))} of the {problem.words[target]} "
        f"({_said(problem, target, figure)} of {_said(problem, target, dense)})"
        for target, (figure, dense) in figures.items()
    )
    asks = [
        _ask(problem, target, figure, dense)
        for target, (figure, dense) in figures.items()
        if figure < dense
    ]
    return given, has, asks


def _floors(problem: Problem) -> str:
    least, step = problem.budget.min_units, problem.budget.multiple_of
    text = f"{least} unit{'s' if least > 1 else ''} per group"
    return f"{text} in multiples of {step}" if step > 1 else text


def _why(problem: Problem) -> str:
    because = _held(problem)
    if "latency" in problem.budget.targets:
        because += "; and every operator takes some time, however few units it has"
    return because


def _held(problem: Problem) -> str:
    frozen = [group for group in problem.groups.values() if group.frozen_because is not None]
    if not frozen:
        return "every group is down to its least, and what no group owns stays"
    named = ", ".join(f"'{group.name}' ({group.frozen_because})" for group in frozen[:_SHOWN])
    more = f" and {len(frozen) - _SHOWN} more" if len(frozen) > _SHOWN else ""
    are = "is" if len(frozen) == 1 else "are"
    return f"{len(frozen)} of {len(problem.groups)} groups {are} frozen: {named}{more}"


def _hint(problem: Problem, asks: list[str]) -> str:
    ways = [f"ask for {' and '.join(asks)}"] if asks else []
    changed = set(problem.budget.given) & {"min_units", "multiple_of"}
    ways += [f"lower {name}" for name in sorted(changed)]
    if len(problem.free) < len(problem.groups):
        ways.append("free a group: prunus.explain(model, example_inputs) shows them all")
    if "latency" in problem.budget.targets:
        ways.append("measure at a larger batch, of which less is fixed")
    return ", or ".join(ways)


def _ask(problem: Problem, target: str, figure: int, dense: int) -> str:
    """Return a demand that can be met as it stands."""
    if target == "sparsity":
        return f"sparsity<={_down(1 - Fraction(figure, dense))}"
    if problem.budget.relative(target):
        return f"{target}>={_up(Fraction(figure, dense))}"
    if target == "latency":
        return f'latency>="{ceil(figure / 1000)} us"'
    return f"{target}>={figure}"


def _said(problem: Problem, target: str, figure: int) -> str:
    return problem.said(target, figure) if target == "latency" else amount(figure)


def _up(share: Fraction) -> float:
    scale = _decimals(share)
    return ceil(share * scale) / scale


def _down(share: Fraction) -> float:
    scale = _decimals(share)
    return floor(share * scale) / scale


def _decimals(share: Fraction) -> int:
    return 10**3 if share >= Fraction(1, 100) else 10**6
