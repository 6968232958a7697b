"""How commands end that cannot go on."""

import subprocess
import sys
from pathlib import Path

import pytest

from prunus import criteria, solvers

PRUNE = ("prune", "net:mlp", "--budget")


def test_an_unknown_criterion_offers_the_nearest(refused):
    message = refused(*PRUNE, "macs=0.5", "--criterion", "tayler")
    assert "there is no criterion 'tayler'" in message
    assert f"why:  known: {', '.join(sorted((*criteria.names(), *solvers.names())))}" in message
    assert "hint: did you mean 'taylor'?" in message


def test_an_impossible_budget_names_what_holds_it(refused):
    message = refused(*PRUNE, "params=0.001")
    assert "params=0.001 cannot be met" in message
    assert "3 of 5 groups are frozen: '5' (model output)" in message
    assert "prunus inspect MODEL" in message  # what one types, not what one calls


@pytest.mark.parametrize("criterion", ["taylor", "gradient"])
def test_a_criterion_that_lacks_its_data(refused, criterion):
    message = refused(*PRUNE, "macs=0.5", "--criterion", criterion)
    assert "needs data, but none was given" in message
    assert "  why:  it reads" in message
    assert "hint: --data DATA" in message


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--granularity", "chanel"), "did you mean 'channel'"),
        (("--allocation", "globl"), "did you mean 'global'"),
        (("--optimizer", "adam"), "did you mean 'adamw'"),
        (("--recover", "1"), "--recover 1 needs data to train on"),
        (("--exclude", "nothing"), "nothing"),
        (("--margin", "-1"), "--margin 0.01"),
    ],
)
def test_other_wrong_values(refused, more, words):
    assert words in refused(*PRUNE, "macs=0.5", *more)


@pytest.mark.parametrize(
    ("budget", "words"),
    [("mac=0.5", "did you mean 'macs'?"), ("macs=much", "much"), ("macs=-1", "-1")],
)
def test_budgets_that_mean_nothing(refused, budget, words):
    assert words in refused(*PRUNE, budget)


# -- where nothing can be written -----------------------------------------------------------------


def test_a_file_in_the_way(refused):
    Path("taken").write_text("mine")
    message = refused(*PRUNE, "macs=0.5", "--out", "taken/small")
    assert "'taken/small' cannot be written to" in message
    assert "taken' is a file" in message


def test_a_read_only_folder(refused, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    assert "is read-only" in refused(*PRUNE, "macs=0.5", "--out", "small")


def test_a_folder_of_someone_else_is_not_overwritten(refused):
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("mine")
    message = refused(*PRUNE, "macs=0.5", "--out", "mine")
    assert "'mine' is not overwritten: prunus did not write it" in message
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.txt"]


def test_weights_are_written_as_safetensors_only(refused):
    dense = ("--data", "digits", "--dense-epochs", "1", "--weights", "dense.pt")
    assert "hint: --weights dense.safetensors" in refused(*PRUNE, "macs=0.5", *dense)


# -- the user's own errors ------------------------------------------------------------------------


def test_an_error_of_the_user_is_left_as_it_is(run):
    Path("broken.py").write_text("def build():\n    return 1 / 0\n")
    result = run("inspect", "broken.py:build")
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_file_that_failed_is_read_again(run):
    for _ in range(2):
        Path("broken.py").write_text("raise KeyError('mine')\n")
        assert isinstance(run("inspect", "broken.py:build").exception, KeyError)


def test_a_user_sees_the_traceback_of_their_own_error_only():
    Path("broken.py").write_text("def build():\n    return 1 / 0\n")
    done = subprocess.run(
        [sys.executable, "-m", "prunus.cli", "inspect", "broken.py:build"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "return 1 / 0" in done.stderr
    assert done.stderr.strip().endswith("ZeroDivisionError: division by zero")


def test_an_interrupt_ends_without_a_traceback(run):
    Path("stopped.py").write_text("def build():\n    raise KeyboardInterrupt\n")
    result = run("inspect", "stopped.py:build")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "interrupted\n")
