"""`prunus prune`."""

import json
from pathlib import Path

import pytest
import torch
from pretended import pretended_table
from safetensors.torch import load_file
from torch import nn

from prunus.cli import steps
from prunus.save import load_latency_table


def pruned(run, *typed):
    result = run("prune", *typed, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_a_table_shows_what_it_cost_and_bought(run):
    result = run("prune", "net:mlp", "--budget", "macs=0.5")
    assert result.exit_code == 0
    assert "parameters" in result.stdout
    assert "Masked == shrunk" in result.stdout
    assert "Accuracy was not measured: that takes --data DATA." in result.stdout
    assert "not saved: that takes --out DIR" in result.stdout


def test_json_holds_the_report_and_no_comparison_without_data(run):
    record = pruned(run, "net:mlp", "--budget", "macs=0.5")
    before, after = record["report"]["before"], record["report"]["after"]
    assert before["macs"] == 8832
    assert 0 < after["macs"] <= 0.5 * 8832
    assert record["comparison"] is record["out"] is None


def test_all_budgets_hold(run):
    record = pruned(run, "net:mlp", "--budget", "macs=0.9,params=0.4", "--budget", "units=0.8")
    assert record["report"]["after"]["params"] <= 0.4 * 8970


def test_multiple_of_and_min_units_hold(run):
    budget = ("--budget", "macs=0.3", "--multiple-of", "8", "--min-units", "16")
    groups = pruned(run, "net:mlp", *budget)["report"]["groups"]
    kept = [group["kept"] for group in groups if group["frozen_because"] is None]
    assert kept
    assert all(count >= 16 and count % 8 == 0 for count in kept)


def test_out_writes_a_folder_that_is_the_small_model(run, net):
    record = pruned(run, net, "--budget", "units=0.5", "--out", "small")
    assert record["out"] == "small"
    assert {path.name for path in Path("small").iterdir()} == {"manifest.json", "model.safetensors"}
    assert tuple(load_file("small/model.safetensors")["0.weight"].shape) == (8, 8)


def test_a_folder_of_prunus_is_overwritten(run, saved, net):
    saved("units=0.5")
    pruned(run, net, "--budget", "units=0.25", "--out", "small")
    assert tuple(load_file("small/model.safetensors")["0.weight"].shape) == (4, 8)


def test_data_measure_accuracy_and_recover_it(run):
    record = pruned(
        run, "net:mlp", "--data", "digits", "--budget", "macs=0.5", "--recover", "2",
        "--criterion", "taylor",
    )  # fmt: skip
    comparison = record["comparison"]
    assert comparison["items"] == 899
    assert comparison["verdict"] == "same"
    assert comparison["after"] > comparison["before"] + 0.1  # the dense one is not trained


def test_the_accuracy_is_shown(run, net):
    result = run("prune", net, "--data", "net.py:loaders", "--budget", "units=0.5")
    assert result.exit_code == 0
    assert "accuracy 100.0 % -> 100.0 %" in result.stdout
    assert "verdict: same" in result.stdout


def test_weights_are_zeroed_and_stay_zero_through_recovery(run, net):
    record = pruned(
        run, net, "--granularity", "weight", "--budget", "sparsity=0.5", "--data", "net.py:loaders",
        "--recover", "1", "--out", "sparse",
    )  # fmt: skip
    tensors = load_file("sparse/model.safetensors")
    weights = [tensors["0.weight"], tensors["2.weight"]]
    assert sum(int((weight == 0).sum()) for weight in weights) >= 128
    assert record["report"]["after"]["params"] == record["report"]["before"]["params"]


def test_what_was_zeroed_is_not_called_smaller(run, net):
    result = run("prune", net, "--granularity", "weight", "--budget", "sparsity=0.5")
    assert result.exit_code == 0
    assert "Weights were set to zero, not removed." in result.stdout


def test_the_dense_model_is_trained_once_and_kept(run, net):
    typed = (
        "prune", net, "--data", "net.py:loaders", "--weights", "dense.safetensors",
        "--dense-epochs", "1", "--budget", "units=0.5",
    )  # fmt: skip
    assert "trained for 1 epochs" in run(*typed).stderr
    content = Path("dense.safetensors").read_bytes()
    assert run(*typed).stderr == ""
    assert Path("dense.safetensors").read_bytes() == content


@pytest.mark.parametrize("criterion", ["gradient", "taylor", "random"])
def test_every_criterion_can_be_named(run, net, criterion):
    record = pruned(
        run, net, "--budget", "units=0.5", "--criterion", criterion, "--data", "net.py:loaders"
    )
    assert record["report"]["after"]["params"] < record["report"]["before"]["params"]


@pytest.mark.parametrize("criterion", ["magnitude", "sparsegpt"])
def test_slots_need_no_budget(run, net, criterion):
    record = pruned(
        run, net, "--granularity", "2:4", "--criterion", criterion, "--data", "net.py:loaders",
        "--recover", "1", "--out", "sparse",
    )  # fmt: skip
    slots = (load_file("sparse/model.safetensors")["0.weight"] != 0).unflatten(1, (-1, 4)).sum(2)
    assert (slots <= 2).all()
    assert record["report"]["provenance"]["granularity"] == "2:4"


def test_other_granularities_need_one(refused, net):
    assert "--budget macs=0.5" in refused("prune", net)


def test_a_latency_table_is_measured_once_and_kept_in_its_file(run, net, monkeypatch):
    layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
    table, asked = pretended_table(layers, torch.zeros(1, 8), milliseconds=350), []
    monkeypatch.setattr(steps, "latency_table", lambda *_: asked.append(1) or table)

    words = (net, "--budget", "latency=0.6", "--latency-table", "latency.json")
    first, second = pruned(run, *words), pruned(run, *words)
    assert asked == [1]
    assert load_latency_table("latency.json") == table
    assert [row["kept"] for row in first["report"]["groups"] if row["name"] == "0"] == [8]
    assert first["report"]["provenance"]["predicted_latency_ms"] == pytest.approx(198)  # <= 210
    assert first["report"]["notes"][0].startswith("predicted latency: 198 ms")
    assert first["report"]["groups"] == second["report"]["groups"]


def test_a_latency_without_a_unit_means_nothing(refused, net):
    assert "a time is text with its unit" in refused("prune", net, "--budget", "latency=8")
