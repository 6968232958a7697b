"""What befalls a study: a full disk, a rival, a strategy that misses its budget, zeros let go."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tiny
from torch import nn

from prunus.allocate import Allocator, Budget
from prunus.allocate.base import Counts, Problem
from prunus.errors import StudyError
from prunus.recover import steps
from prunus.study import Run, Strategy, Study, read_results
from prunus.train import Hook, fit

WEIGHT = {"weight": [Budget(params=0.25)]}


def untimed(study: Study) -> list[Run]:
    return [tiny.untimed(run) for run in study.runs]


@dataclass(frozen=True, kw_only=True)
class KeepsAll(Allocator):
    """Wrong on purpose: it meets no budget."""

    def counts(self, problem: Problem) -> Counts:
        return {}


BROKEN = Strategy(name="broken", allocation=KeepsAll())


def test_a_full_disk_stops_a_study_that_then_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill(done: int, total: int, text: str) -> None:
        if done == 1:
            monkeypatch.setattr(os, "fsync", refuse)

    words = r"could not be written[\s\S]*No space left[\s\S]*goes on where this one stopped"
    with pytest.raises(StudyError, match=words):
        tiny.study(tmp_path / "full", progress=fill)
    monkeypatch.undo()
    assert len(read_results(tmp_path / "full").runs) == 1
    assert untimed(tiny.study(tmp_path / "full")) == untimed(tiny.study(tmp_path / "whole"))


def test_a_rival_is_refused_and_the_study_goes_on(tmp_path: Path) -> None:
    def rival(done: int, total: int, text: str) -> None:
        with pytest.raises(StudyError, match="another study is writing to"):
            tiny.study(tmp_path)

    study = tiny.study(tmp_path, progress=rival)
    assert [run.strategy for run in study.runs] == ["random", "scratch"]


def test_one_strategy_that_misses_its_budget_changes_nothing_for_the_others(
    tmp_path: Path,
) -> None:
    study = tiny.study(tmp_path / "one", strategies=[BROKEN, "magnitude"])
    (failure,) = study.failures
    assert (failure.strategy, failure.seed, failure.fraction) == ("broken", 0, 0.5)
    assert failure.what == "KeepsAll() keeps too much"
    other = tiny.study(tmp_path / "other", strategies=["magnitude"])
    assert untimed(study) == untimed(other)


def test_a_failure_is_not_tried_again(tmp_path: Path) -> None:
    told: list[str] = []
    study = tiny.study(tmp_path, strategies=[BROKEN])
    again = tiny.study(tmp_path, strategies=[BROKEN], progress=lambda *step: told.append(step[2]))
    assert again == study
    assert told == [""]


def test_zeros_that_are_not_held_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = tiny.of(tiny.study(tmp_path / "held", budgets=WEIGHT), "random")
    monkeypatch.setattr(steps, "Held", lambda plan: Hook())
    let_go = tiny.of(tiny.study(tmp_path / "let go", budgets=WEIGHT), "random")
    assert held.nonzero <= held.params // 4
    assert let_go.nonzero > let_go.params // 2


def test_every_pruned_run_reads_the_same_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def spying(model: nn.Module, data: Any, *, recipe: Any, **rest: Any) -> Any:
        read.extend(data.first + epoch for epoch in range(recipe.epochs))
        return fit(model, data, recipe=recipe, **rest)

    monkeypatch.setattr("prunus.study.run.fit", spying)
    monkeypatch.setattr("prunus.study.penalise.fit", spying)
    monkeypatch.setattr(steps, "fit", spying)
    tiny.study(tmp_path, strategies=["l1", "random"])
    pruned = list(range(tiny.RECIPE.epochs))
    assert read == [*pruned, *pruned, *range(2 + tiny.RECIPE.epochs)]
