"""A study at the levels where weights are zeroed in slots and blocks, and with a solver."""

import tiny

from prunus.allocate import Budget
from prunus.study import Strategy

BUDGETS = {"2:4": [Budget(units=0.5)], "4x1": [Budget(units=0.5)]}


def test_slots_blocks_and_a_solver(tmp_path):
    solver = Strategy(name="solved", criterion="sparsegpt", granularity="2:4", allocation="uniform")
    study = tiny.study(tmp_path, budgets=BUDGETS, strategies=["magnitude", "wanda", solver])
    assert not study.failures
    names = {(run.granularity, run.strategy) for run in study.runs}
    assert {("2:4", "solved"), ("2:4", "wanda"), ("4x1", "magnitude"), ("4x1", "random")} <= names
    assert ("4x1", "solved") not in names
    for run in study.runs:
        if run.kind != "scratch":
            assert run.nonzero < run.params
    solved = tiny.of(study, "solved")
    assert solved.needs == ("data",)
    assert solved.score_bytes > 0 and solved.score_seconds > 0


def test_names_of_solvers_and_criteria_are_strategies(tmp_path):
    study = tiny.study(
        tmp_path, budgets={"weight": [Budget(params=0.5)]}, strategies=["sparsegpt", "lamp"]
    )
    assert {run.strategy for run in study.runs} == {"sparsegpt", "lamp", "random", "scratch"}
