"""The demo on a small scale: trained, compared, taken home, loaded in a fresh process."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from prunus.allocate import Budget
from prunus.cli.app import app
from prunus.demo import BEST, DENSE, SETUPS, DemoResult, Setup, demo, setup_of
from prunus.errors import DataError, VerifyError
from prunus.save import read, read_manifest, write

pytest.importorskip(
    "sklearn", reason="the digits come with scikit-learn: pip install prunus[train]"
)
pytest.importorskip("plotly", reason="the report needs plotly: pip install prunus[report]")

SMALL = replace(
    setup_of("digits"),
    width=4,
    batch_size=128,
    dense_epochs=2,
    recipe=replace(setup_of("digits").recipe, epochs=2),
    budgets={"channel": [Budget(macs=0.5)]},
    seeds=(0,),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    return demo(tmp_path_factory.mktemp("demo"), setup=SMALL)


def test_everything_lies_in_the_folder(finished: DemoResult) -> None:
    names = {"results.jsonl", "report.html", "report.md", BEST, DENSE}

    assert names <= {path.name for path in finished.folder.iterdir()}


def test_all_strategies_ran(finished: DemoResult) -> None:
    assert [run.strategy for run in finished.study.runs] == [
        "random", "magnitude", "gradient", "taylor", "l1", "l2", "group-lasso", "scratch",
    ]  # fmt: skip


def test_the_network_that_was_taken_home_is_the_one_that_was_measured(
    finished: DemoResult,
) -> None:
    network = read(finished.folder / BEST, model=SMALL.network())

    assert sum(p.numel() for p in network.parameters()) == finished.run.params
    assert finished.comparison.after == finished.run.accuracy
    assert read_manifest(finished.folder / BEST).extra["run"]["strategy"] == finished.run.strategy


@pytest.mark.parametrize("named", [True, False], ids=["dense named", "dense as recorded"])
def test_the_command_line_verifies_what_was_taken_home(
    finished: DemoResult, *, named: bool
) -> None:
    dense = ["--dense", str(finished.folder / DENSE)] if named else []
    typed = ["verify", str(finished.folder / BEST), *dense, "--data", "digits", "--json"]
    record = json.loads(CliRunner().invoke(app, typed).stdout)

    assert record["before"] == finished.comparison.before
    assert record["after"] == finished.run.accuracy


def test_a_finished_demo_is_quick_and_the_same(finished: DemoResult) -> None:
    steps: list[tuple[int, int, str]] = []

    again = demo(finished.folder, setup=SMALL, progress=lambda *step: steps.append(step))

    assert steps == [(0, 0, "train the dense network"), (8, 8, "")]
    assert again.study == finished.study
    assert again.run == finished.run


def test_threads_are_given_back(finished: DemoResult) -> None:
    assert finished.study.facts.threads == SMALL.threads
    assert torch.get_num_threads() == 1


def test_a_network_that_was_exchanged_is_found(finished: DemoResult, tmp_path: Path) -> None:
    folder, run = tmp_path / "demo", finished.run
    shutil.copytree(finished.folder, folder)
    source = folder / str(run.folder)
    network = read(source, model=SMALL.network())
    list(network.parameters())[-1].data[0] += 1e6  # now every image is a zero
    write(source, model=network, plan=read_manifest(source).plan)

    with pytest.raises(VerifyError, match="does not predict what was measured"):
        demo(folder, setup=SMALL)


def test_an_unknown_demo() -> None:
    with pytest.raises(DataError, match=r"there is no demo 'digit'\n.*\n  hint: did you mean 'dig"):
        setup_of("digit")


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_setups_compare_both_granularities_with_three_seeds(setup: Setup) -> None:
    assert set(setup.budgets) == {"channel", "weight"}
    assert all(setup.budgets.values())
    assert len(setup.seeds) == 3
    assert setup.recipe.epochs >= 2


def test_the_demo_compares_at_three_budgets() -> None:
    fractions = {name: len(budgets) for name, budgets in setup_of("digits").budgets.items()}

    assert fractions == {"channel": 3, "weight": 3}
