"""`prunus compare`."""

import json

import pytest
import torch
from pretended import pretended_table
from torch import nn
from user_net import NET

from prunus.save import load_latency_table
from prunus.study import setting

TINY = ("--seeds", "1", "--recover", "1", "--dense-epochs", "1", "--strategies", "magnitude")


@pytest.fixture(scope="module")
def study(run, tmp_path_factory):
    """Return a folder with a file of the user in it, and the result of a study typed with it."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "net.py").write_text(NET)
    return folder, run(*typed(folder), "--json")


def typed(folder):
    return (
        "compare", f"{folder}/net.py:build", "--data", f"{folder}/net.py:loaders",
        "--budget", "units=0.5", "--folder", folder / "runs", *TINY,
    )  # fmt: skip


def test_json_is_the_only_thing_on_standard_output(study):
    folder, result = study
    assert (result.exit_code, result.stderr) == (0, "")
    record = json.loads(result.stdout)
    assert record["folder"] == str(folder / "runs")
    assert [one["granularity"] for one in record["recommendations"]] == ["channel"]
    assert {run["strategy"] for run in record["runs"]} == {"magnitude", "random", "scratch"}


def test_the_report_is_written(study):
    folder, result = study
    report = folder / "runs" / "report.html"
    assert json.loads(result.stdout)["report"] == str(report)
    assert report.read_text().startswith("<!")


def test_typed_again_it_shows_what_is_there(run, study):
    folder, first = study
    again = run(*typed(folder), "--json")
    assert json.loads(again.stdout)["runs"] == json.loads(first.stdout)["runs"]
    shown = run(*typed(folder))
    assert shown.exit_code == 0
    assert "100.0 % dense, on 512 test items" in shown.stdout
    assert f"report: {folder / 'runs' / 'report.html'}" in shown.stdout


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--strategies", "magnitud"), "did you mean 'magnitude'"),
        (("--strategies", "l1"), "'l1' needs a recipe of 2 epochs or more"),
        (("--data", "net.py:few"), "let it return two: return train, test"),
        (("--optimizer", "sdg"), "did you mean 'sgd'"),
        (("--budget", "unit=0.5"), "did you mean 'units'"),
    ],
)
def test_what_cannot_end_is_refused_before_it_begins(refused, net, more, words):
    start = ("compare", net, "--data", "net.py:loaders", "--budget", "units=0.5", *TINY)
    assert words in refused(*start, *more)


def test_another_study_does_not_go_into_its_folder(refused, study):
    folder, _ = study
    assert "another study" in refused(*typed(folder), "--margin", "0.5")


def test_a_budget_of_latency_is_held_by_one_table_for_all_runs(run, tmp_path, monkeypatch):
    layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
    table, asked = pretended_table(layers, torch.zeros(1, 8), milliseconds=350), []
    monkeypatch.setattr(setting, "latency_table", lambda *_: asked.append(1) or table)
    (tmp_path / "net.py").write_text(NET)

    words = [word if word != "units=0.5" else "latency=0.6" for word in typed(tmp_path)]
    runs = json.loads(run(*words, "--json").stdout)["runs"]
    assert asked == [1]
    assert {one["target"] for one in runs} == {"latency"}
    assert {one["kept"]["0"][0] for one in runs} == {8}
    assert load_latency_table(tmp_path / "runs" / "latency.json") == table
