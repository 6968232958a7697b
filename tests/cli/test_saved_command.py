"""`prunus verify` and `prunus bench`: what is done with a saved folder."""

import json
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("budget", "data", "code", "verdict"),
    [
        ("units=0.5", "net.py:loaders", 0, "same"),  # the units that did nothing are gone
        ("units=0.25", "net.py:loaders", 3, "worse"),  # and half of the others
        ("units=0.5", "net.py:few", 4, "not enough data to tell"),
    ],
)
def test_verify_says_its_verdict_in_the_exit_code(run, saved, net, budget, data, code, verdict):
    typed = ("verify", saved(budget), "--dense", net, "--data", data)
    shown, machine = run(*typed), run(*typed, "--json")
    assert shown.exit_code == machine.exit_code == code
    assert f"verdict: {verdict}" in shown.stdout
    record = json.loads(machine.stdout)
    assert (record["verdict"], record["before"]) == (verdict, 1.0)


def test_verify_takes_the_margin(run, saved, net):
    typed = ("verify", saved("units=0.25"), "--dense", net, "--data", "net.py:loaders")
    assert run(*typed, "--margin", "0.9").exit_code == 0


def test_verify_builds_a_network_of_prunus_by_itself(run):
    run("prune", "net:mlp", "--budget", "macs=0.9", "--out", "small")
    result = run("verify", "small", "--data", "digits", "--margin", "0.5", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["dense"]["model"] == "net:mlp"


def test_bench_counts_and_measures_both(run, saved, net):
    typed = ("bench", saved("units=0.5"), "--dense", net, "--seconds", "0")
    shown = run(*typed)
    assert shown.exit_code == 0
    assert "MACs are those of one item." in shown.stdout
    record = json.loads(run(*typed, "--batch", "4", "--threads", "1", "--json").stdout)
    assert (record["dense"]["macs"], record["saved"]["macs"]) == (2 * 8 * 16, 2 * 8 * 8)
    assert record["saved"]["latency"]["batch"] == 4
    assert record["saved"]["latency"]["median"] > 0


def test_a_pruned_model_is_pruned_again(run):
    run("prune", "net:mlp", "--budget", "macs=0.5", "--out", "small")
    assert run("prune", "small", "--budget", "macs=0.5", "--out", "smaller").exit_code == 0
    record = json.loads(run("bench", "smaller", "--seconds", "0", "--json").stdout)
    assert record["saved"]["macs"] <= 0.5 * record["dense"]["macs"]


# -- folders that cannot be read ------------------------------------------------------------------


def test_a_folder_that_is_not_there(refused):
    assert "error: 'small' holds no saved model" in refused("bench", "small")


def test_what_a_folder_names_is_not_run_unasked(refused, saved, net):
    message = refused("bench", saved("units=0.5"))
    assert "what a folder names is not run unasked" in message
    assert f"hint: --dense {net}" in message


@pytest.mark.parametrize("name", ["manifest.json", "model.safetensors"])
def test_a_file_that_was_cut_short(refused, saved, net, name):
    path = Path(saved("units=0.5")) / name
    path.write_bytes(path.read_bytes()[:-20])
    message = refused("verify", "small", "--dense", net, "--data", "net.py:loaders")
    assert "small" in message
    assert "  why:  " in message


def test_a_changed_plan(refused, saved, net):
    path = Path(saved("units=0.5")) / "manifest.json"
    path.write_text(path.read_text().replace("0.weight", "9.weight"))
    assert "  why:  " in refused("bench", "small", "--dense", net)


def test_a_file_that_is_missing(refused, saved, net):
    (Path(saved("units=0.5")) / "model.safetensors").unlink()
    assert "model.safetensors" in refused("bench", "small", "--dense", net)


def test_the_dense_model_is_another(refused, saved):
    saved("units=0.5")
    assert "small" in refused("bench", "small", "--dense", "net:mlp", "--input", "1x1x8x8")


def test_the_dense_weights_are_asked_for(refused, run):
    dense = ("--weights", "dense.safetensors", "--dense-epochs", "1", "--data", "digits")
    run("prune", "net:mlp", "--budget", "macs=0.9", "--out", "small", *dense)
    message = refused("verify", "small", "--data", "digits")
    assert "hint: --weights dense.safetensors" in message


def test_a_model_is_not_written_over_the_one_it_is_cut_from(refused, run):
    run("prune", "net:mlp", "--budget", "macs=0.9", "--out", "small")
    message = refused("prune", "small", "--budget", "macs=0.5", "--out", "small")
    assert "'small' cannot hold a model that was cut from the one in it" in message


def test_a_folder_has_weights_of_its_own(refused, run):
    run("prune", "net:mlp", "--budget", "macs=0.9", "--out", "small")
    message = refused("prune", "small", "--budget", "macs=0.5", "--weights", "dense.safetensors")
    assert "'small' has weights of its own" in message


def test_zeros_are_no_speed(run, net):
    budget = ("--granularity", "weight", "--budget", "sparsity=0.5")
    assert run("prune", net, *budget, "--out", "zeros").exit_code == 0
    shown = run("bench", "zeros", "--dense", net, "--seconds", "0").stdout
    assert "zeros only" in shown
    assert "faster" not in shown
