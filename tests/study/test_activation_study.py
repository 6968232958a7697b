"""A study of activation functions."""

import torch
from torch import nn

import prunus
from prunus import Budget
from prunus.study.strategy import strategies
from prunus.train import Recipe


def test_each_kind_of_unit_has_strategies_of_its_own():
    assert [one.name for one in strategies("activation")] == [
        "random", "linear_damage", "linear_loss"
    ]  # fmt: skip
    assert {one.allocation for one in strategies("activation")} == {"global"}
    assert [one.needs for one in strategies("activation")] == [
        ("data",), ("data",), ("data", "labels")
    ]  # fmt: skip
    assert [one.name for one in strategies("layer")] == ["random", "block_influence", "greedy_loss"]


def test_all_meet_the_budget_and_so_does_the_network_from_scratch(tmp_path):
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8), nn.GELU(), nn.Linear(8, 4))
    rows = torch.randn(64, 8)
    train = list(zip(rows.split(32), (rows[:, 0] > 0).long().split(32), strict=True))
    study = prunus.compare(
        model, rows[:1], train=train, test=train, loss=nn.CrossEntropyLoss(), folder=tmp_path,
        budgets={"activation": [Budget(macs=0.7), Budget(units=1)]}, seeds=[0], dense_epochs=1,
        recipe=Recipe(epochs=1),
    )  # fmt: skip
    assert study.failures == ()
    dense = study.facts.dense["macs"]
    assert {run.strategy for run in study.runs} == {
        "random", "linear_damage", "linear_loss", "scratch"
    }  # fmt: skip
    assert all(run.macs <= 0.7 * dense for run in study.runs if run.target == "macs")


def test_channels_of_functions_are_compared_too(tmp_path):
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
    rows = torch.randn(64, 8)
    train = list(zip(rows.split(32), (rows[:, 0] > 0).long().split(32), strict=True))
    study = prunus.compare(
        model, rows[:1], train=train, test=train, loss=nn.CrossEntropyLoss(), folder=tmp_path,
        budgets={"activation_channel": [Budget(units=0.5)]}, seeds=[0], dense_epochs=1,
        recipe=Recipe(epochs=1),
    )  # fmt: skip
    assert study.failures == ()
    pruned = [run for run in study.runs if run.kind != "scratch"]
    assert [run.strategy for run in pruned] == ["random", "linear_damage", "linear_loss"]
    assert {run.kept["1"] for run in pruned} == {(16, 32)}
    assert {run.macs for run in study.runs} == {study.facts.dense["macs"]}
