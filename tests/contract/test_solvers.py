"""What every solver must pass. They are found by themselves: a new one needs no line here."""

import copy
import doctest
import re

import pytest
import torch

from prunus import solvers
from prunus.errors import CriterionError
from prunus.solvers import Goal, Solution, Solver

GOALS = [Goal(24), Goal(47), Goal(1), Goal(24, (2, 4)), Goal(12, (1, 4)), Goal(32, (2, 3))]

each_solver = pytest.mark.parametrize(
    "solver", [pytest.param(solvers.get(name), id=name) for name in solvers.names()]
)
each_goal = pytest.mark.parametrize("goal", GOALS, ids=str)


def layer(seed=0, outputs=4, inputs=12):
    """Weights and correlated inputs, float64."""
    generator = torch.Generator().manual_seed(seed)
    weight_OI = torch.randn(outputs, inputs, dtype=torch.float64, generator=generator)
    mix_II = torch.randn(inputs, inputs, dtype=torch.float64, generator=generator) / inputs**0.5
    given_NI = torch.randn(300, inputs, dtype=torch.float64, generator=generator)
    return weight_OI, given_NI @ (mix_II + torch.eye(inputs, dtype=torch.float64))


def hessian(input_NI):
    return input_NI.T @ input_NI / len(input_NI)


def error(solution, weight_OI, input_NI):
    return float((input_NI @ (weight_OI - solution.weight_OI).T).square().sum())


def refitted(solution, weight_OI, input_NI):
    """The same mask, with the weights that least squares gives each row."""
    best_OI = torch.zeros_like(weight_OI)
    for best_I, mask_I, weight_I in zip(best_OI, solution.mask_OI, weight_OI, strict=True):
        if mask_I.any():
            target_N1 = (input_NI @ weight_I)[:, None]
            best_I[mask_I] = torch.linalg.lstsq(input_NI[:, mask_I], target_N1).solution[:, 0]
    return Solution(solution.mask_OI, best_OI)


def masked(solution, weight_OI):
    return Solution(solution.mask_OI, weight_OI * solution.mask_OI)


# -- the contract -----------------------------------------------------------------------------


@each_solver
@each_goal
def test_keeps_what_the_goal_says(solver, goal):
    weight_OI, input_NI = layer()
    solution = solver(weight_OI, hessian(input_NI), goal)
    assert int(solution.mask_OI.sum()) == goal.kept
    assert not solution.weight_OI[~solution.mask_OI].any()
    if goal.slots:
        n, m = goal.slots
        assert (solution.mask_OI.unflatten(1, (-1, m)).sum(2) == n).all()


@each_solver
@each_goal
def test_lies_between_zeroing_and_least_squares(solver, goal):
    gain = 0.0
    for seed in range(5):
        weight_OI, input_NI = layer(seed)
        solution = solver(weight_OI, hessian(input_NI), goal)
        found = error(solution, weight_OI, input_NI)
        assert found >= error(refitted(solution, weight_OI, input_NI), weight_OI, input_NI) - 1e-9
        gain += error(masked(solution, weight_OI), weight_OI, input_NI) - found
    assert gain > 0


@each_solver
@each_goal
def test_nothing_removed_nothing_changed(solver, goal):
    weight_OI, input_NI = layer()
    solution = solver(weight_OI, hessian(input_NI), Goal(weight_OI.numel()))
    torch.testing.assert_close(solution.weight_OI, weight_OI)


@each_solver
@each_goal
def test_uncorrelated_inputs_change_no_weight_that_stays(solver, goal):
    weight_OI, _ = layer()
    solution = solver(weight_OI, torch.eye(12, dtype=torch.float64), goal)
    torch.testing.assert_close(solution.weight_OI, weight_OI * solution.mask_OI)


@each_solver
@each_goal
def test_the_scale_of_the_inputs_does_not_matter(solver, goal):
    weight_OI, input_NI = layer()
    one = solver(weight_OI, hessian(input_NI), goal)
    other = solver(weight_OI, hessian(1000 * input_NI), goal)
    assert torch.equal(one.mask_OI, other.mask_OI)
    torch.testing.assert_close(one.weight_OI, other.weight_OI)


@each_solver
@each_goal
def test_rows_in_slots_are_solved_one_by_one(solver, goal):
    weight_OI, input_NI = layer()
    if goal.slots is None:
        pytest.skip("rows compete")
    whole = solver(weight_OI, hessian(input_NI), goal)
    one = solver(weight_OI[2:3], hessian(input_NI), Goal(goal.kept // 4, goal.slots))
    torch.testing.assert_close(one.weight_OI[0], whole.weight_OI[2])


@each_solver
@each_goal
def test_inputs_that_are_always_zero_do_no_harm(solver, goal):
    weight_OI, input_NI = layer()
    input_NI[:, 5] = 0
    solution = solver(weight_OI, hessian(input_NI), goal)
    assert solution.weight_OI.isfinite().all()
    kept_O = solution.mask_OI[:, 5]
    assert torch.equal(solution.weight_OI[kept_O, 5], weight_OI[kept_O, 5])


@each_solver
@each_goal
def test_float32_and_arguments_untouched(solver, goal):
    weight_OI, input_NI = layer()
    hessian_II = hessian(input_NI).float()
    before = weight_OI.float(), hessian_II.clone()
    given_OI = weight_OI.float()
    solution = solver(given_OI, hessian_II, goal)
    assert solution.weight_OI.dtype == torch.float32
    assert torch.equal(given_OI, before[0]) and torch.equal(hessian_II, before[1])


@each_solver
def test_is_a_frozen_value_that_prints_its_settings(solver):
    assert copy.deepcopy(solver) == solver
    assert len({solver, copy.deepcopy(solver)}) == 1
    assert repr(solver).startswith(f"{type(solver).__name__}(")


@each_solver
@pytest.mark.parametrize("section", ["Reads", "Cost", "Source", "Example"])
def test_docstring_has(solver, section):
    assert re.search(rf"^    {section}:", type(solver).__doc__, flags=re.MULTILINE)


@each_solver
def test_docstring_example_runs_something(solver):
    (test,) = doctest.DocTestFinder(recurse=False).find(type(solver), type(solver).__name__)
    assert any(type(solver).__name__ in example.source for example in test.examples)


@each_solver
def test_can_be_imported_and_has_a_file_of_its_own(solver):
    assert getattr(solvers, type(solver).__name__) is type(solver)
    modules = [type(solvers.get(name)).__module__ for name in solvers.names()]
    assert modules.count(type(solver).__module__) == 1


# -- the contract can fail --------------------------------------------------------------------


class Zeroing(Solver):
    """Wrong on purpose: removes the smallest and solves nothing."""

    def solve(self, weight_OI, hessian_II, goal):
        mask_OI = torch.zeros_like(weight_OI, dtype=torch.bool).flatten()
        mask_OI[weight_OI.abs().flatten().topk(goal.kept).indices] = True
        mask_OI = mask_OI.view(weight_OI.shape)
        return Solution(mask_OI, weight_OI * mask_OI)


class Damped(Zeroing):
    """Wrong on purpose: damps by an amount that depends on the scale of the inputs."""

    def solve(self, weight_OI, hessian_II, goal):
        mask_OI = super().solve(weight_OI, hessian_II, goal).mask_OI
        damped_II = hessian_II + torch.eye(len(hessian_II), dtype=hessian_II.dtype)
        moved_OI = weight_OI @ hessian_II @ torch.linalg.inv(damped_II)
        return Solution(mask_OI, moved_OI * mask_OI)


class Returns(Zeroing):
    """Wrong on purpose: changes a solution, or what it was given."""

    def __init__(self, change):
        self.change = change

    def __repr__(self):
        return "Returns()"

    def solve(self, weight_OI, hessian_II, goal):
        solution = super().solve(weight_OI, hessian_II, goal)
        changed = self.change(solution, weight_OI)
        return changed or solution


@pytest.mark.parametrize(
    ("contract", "wrong"),
    [
        (test_lies_between_zeroing_and_least_squares, Zeroing()),
        (test_the_scale_of_the_inputs_does_not_matter, Damped()),
        (test_nothing_removed_nothing_changed, Damped()),
        (test_uncorrelated_inputs_change_no_weight_that_stays, Damped()),
        (lambda solver, goal: test_docstring_has(solver, "Source"), Zeroing()),
    ],
)
def test_the_contract_can_fail(contract, wrong):
    with pytest.raises(AssertionError):
        contract(wrong, Goal(24))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s, w: Solution(s.mask_OI, w), "weights outside its mask are not zero"),
        (lambda s, w: Solution(s.mask_OI[:, :3], s.weight_OI), "the shape of the layer's weights"),
        (lambda s, w: Solution(s.mask_OI, s.weight_OI.half()), "its weights are torch.float16"),
        (lambda s, w: Solution(s.mask_OI, s.weight_OI / 0), "its weights are not finite"),
        (lambda s, w: Solution(~s.mask_OI, w * ~s.mask_OI), "it keeps 38 weights, not 10"),
        (lambda s, w: w.mul_(2) is None, "wrote to what it was given"),
    ],
)
def test_a_broken_solver_is_told(change, words):
    weight_OI, input_NI = layer()
    with pytest.raises(CriterionError, match=r"Returns\(\)") as caught:
        Returns(change)(weight_OI, hessian(input_NI), Goal(10))
    assert words in str(caught.value)


def test_slots_are_told_too():
    weight_OI, input_NI = layer()
    with pytest.raises(CriterionError) as caught:
        Zeroing()(weight_OI, hessian(input_NI), Goal(24, (2, 4)))
    assert "it does not keep 2 of every 4 inputs" in str(caught.value)


def test_wrong_solvers_get_no_name():
    assert "zeroing" not in solvers.names()
    with pytest.raises(CriterionError, match="there is no solver 'sparsegtp'"):
        solvers.get("sparsegtp")
