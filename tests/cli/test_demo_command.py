"""`prunus demo`, with a study that is there already: the whole takes minutes."""

import json
from pathlib import Path

import pytest
import torch
from study.sample import sample_study

import prunus.demo
from prunus.demo import DemoResult
from prunus.study import best
from prunus.verify.paired import compare


@pytest.fixture
def asked(monkeypatch):
    """Answer `prunus.demo.demo` at once; return what it was asked."""
    study, asked = sample_study(), {}
    right_N = torch.arange(360) > 5

    def demo(folder, *, setup, progress):
        asked.update(folder=folder, setup=setup)
        progress(0, 0, "train the dense network")
        progress(1, 2, "channel magnitude macs=0.5, seed 0")
        comparison = compare(right_N, right_N, margin=0.02)
        return DemoResult(
            folder=folder, study=study, run=best(study), comparison=comparison, seconds=1.0
        )

    monkeypatch.setattr(prunus.demo, "demo", demo)
    return asked


def test_it_shows_the_study_the_network_taken_home_and_the_report(run, asked):
    result = run("demo", "--folder", "runs/mine")
    assert result.exit_code == 0, result.output
    assert asked == {"folder": Path("runs/mine"), "setup": "digits"}
    home = best(sample_study())
    assert f"Taken home: {home.strategy} at {home.budget}, seed {home.seed}." in result.stdout
    assert "fresh process it predicts the same" in " ".join(result.stdout.split())
    assert result.stdout.endswith("model:  runs/mine/best\nreport: runs/mine/report.html\n")


def test_a_table_per_granularity(run, asked):
    lines = run("demo").stdout.splitlines()
    assert max(len(line) for line in lines) <= 80
    for granularity in ("channel", "weight"):
        row = next(line for line in lines if line.startswith(granularity))
        assert len(row.split()) == 4
    assert any(line.startswith("group-lasso ") for line in lines)


def test_json_holds_the_runs_and_what_was_taken_home(run, asked):
    result = run("demo", "--json")
    assert result.stderr == ""
    record = json.loads(result.stdout)
    assert len(record["runs"]) == len(sample_study().runs)
    assert record["taken_home"]["strategy"] == best(sample_study()).strategy
    assert record["recommendations"][0]["headline"]


def test_an_unknown_data_set(refused):
    assert "did you mean 'digits'" in refused("demo", "--dataset", "digit")


@pytest.mark.parametrize("command", [("demo",), ("compare", "net:mlp", "--data", "digits")])
def test_the_report_needs_plotly(refused, monkeypatch, command):
    monkeypatch.setattr("prunus.cli.steps.find_spec", lambda name: None)
    more = ("--dense-epochs", "1") if command[0] == "compare" else ()
    assert "hint: pip install 'prunus[report]'" in refused(*command, *more)
