"""Activation functions on the command line."""

import json


def test_inspect_says_which_can_go(run):
    result = run("inspect", "net:resnet", "--granularity", "activation", "--json")
    assert result.exit_code == 0
    groups = json.loads(result.stdout)["groups"]
    reasons = {group["name"]: group["frozen_because"] for group in groups}
    assert reasons["stem.2"] is None
    called = next(reason for name, reason in reasons.items() if name.startswith("relu at"))
    assert "only a module can be replaced" in called


def test_prune_folds_and_says_so(run, net):
    result = run(
        "prune", net, "--granularity", "activation", "--budget", "macs=0.5",
        "--data", net.replace(":build", ":loaders"),
    )  # fmt: skip
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Activation functions that are lines now: 1." in result.stdout
    assert "Layers that became one: 0 + 2." in result.stdout


def test_without_data_the_error_can_be_typed(run, net):
    result = run("prune", net, "--granularity", "activation", "--budget", "macs=0.5")
    assert result.exit_code == 1
    assert "needs data" in result.stderr
    assert "--data" in result.stderr
