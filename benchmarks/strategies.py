"""Compare every strategy on one budget: python benchmarks/strategies.py digits

One study per data set, weights and channels, three seeds: accuracy right after the cut and after
recovery, and what choosing costs. Criteria, penalties and solvers share the allocation that is
the default of the granularity; the other allocations, rounds, and schedules that go over the
training in place of recovery, over the same epochs, run with one criterion. Figures
go to benchmarks/results/strategies-DATASET.json, from where benchmarks/tables.py brings them to
docs/strategies. What cannot score a granularity is listed there with the reason. A study that was
killed goes on; one whose strategies have changed starts anew with --afresh.
"""

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from study_results import HERE, progress, result_of
from torch import nn

from prunus import Budget, Strategy, allocate, criteria, solvers, units
from prunus.demo import Setup, demo, setup_of
from prunus.errors import PruneError
from prunus.planner import Planner, default_allocation
from prunus.schedules import Iterative
from prunus.schedules.scaled import names as schedules
from prunus.study import Study
from prunus.study.strategy import chosen as by_name
from prunus.study.strategy import strategies
from prunus.train import Recipe
from prunus.train.penalties import PENALTIES

# The largest cut that leaves something to tell apart: at weight level most survive more.
BUDGETS = {"channel": [Budget(macs=0.5)], "weight": [Budget(params=0.1)]}
SETUPS = {
    "digits": replace(setup_of("digits"), budgets=BUDGETS, title="every strategy on digits"),
    "fashion-mnist": replace(
        setup_of("fashion-mnist"),
        title="every strategy on Fashion-MNIST",
        budgets=BUDGETS,
        width=8,
        limit=1000,
        calibration=8,
        recipe=Recipe(epochs=2, optimizer="adamw", lr=0.01, weight_decay=0.01),
        dense_epochs=10,
    ),
}
# What costs too much time there: of allocations only what layerwise scores are compared with.
BRIEF = {"fashion-mnist"}
# Takes over an hour, in which the machine did other work too: its seconds say nothing.
UNTIMED = {"fashion-mnist"}
# Slimming drives scales to zero, so scales are what is chosen by.
CHOSEN_BY = {"slimming": "batch_norm_scale"}
# Penalties of whole units: of single weights the one is L1, and the others need units or norms.
OF_UNITS = {"group-lasso", "group-sparse", "slimming"}


def every(granularity: str) -> Iterator[Strategy]:
    """Yield what ships with prunus: criteria, solvers, penalties, allocations, rounds."""
    default = allocate.default(granularity)
    base = Strategy(name="base", granularity=granularity, allocation=default)
    zeroes = units.zeroes(granularity)
    for name in criteria.names():
        own = default_allocation(granularity, name)
        yield replace(base, name=name, criterion=name, allocation=own)
    for name in solvers.names() if zeroes else ():
        yield replace(base, name=name, criterion=name, allocation="uniform")
    shipped = {strategy.name: strategy for strategy in strategies(granularity)}
    for name, penalty in PENALTIES.items():
        if not (zeroes and name in OF_UNITS):
            criterion = CHOSEN_BY.get(name, "magnitude")
            own = replace(base, name=name, criterion=criterion, penalty=penalty())
            yield shipped.get(name, own)
    for name in allocate.names():
        if name != default:
            yield replace(base, name=f"magnitude, {name}", allocation=name)
    rounds = Iterative(rounds=5)
    yield replace(base, name="taylor, 5 rounds", criterion="taylor", schedule=rounds)
    for one in by_name(schedules(), granularity):
        if one.during is not None:
            yield replace(one, name=f"while training, {one.name}")


def chosen_for(dataset: str) -> Iterator[Strategy]:
    """Yield what runs on a data set, at all granularities."""
    for level in BUDGETS:
        for one in every(level):
            if dataset not in BRIEF or "," not in one.name or one.name == "magnitude, uniform":
                yield one


def refused(strategy: Strategy, setup: Setup) -> str | None:
    """Return why a strategy cannot score this network at its granularity, None where it can."""
    images = setup.data().test.inputs[:8]
    labels = torch.zeros(len(images), dtype=torch.long)
    try:
        planner = Planner.of(
            setup.network(),
            images[:1],
            budget=BUDGETS[strategy.granularity][0],
            criterion=strategy.criterion,
            granularity=strategy.granularity,
            allocation=strategy.allocation,
        )
        data, loss = [(images, labels)], nn.CrossEntropyLoss()
        planner.choose(planner.scores(data=data, loss=loss), data=data, loss=loss)
    except PruneError as error:
        return str(error).splitlines()[0]
    return None


def unmet(study: Study) -> list[dict[str, str]]:
    """Return the strategies that no plan let meet the budget, once each."""
    what = {(one.strategy, one.granularity): one.what for one in study.failures}
    return [{"strategy": s, "granularity": g, "why": why} for (s, g), why in what.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", nargs="?", default="digits", choices=sorted(SETUPS))
    parser.add_argument("--afresh", action="store_true", help="forget what an earlier call ran")
    arguments = parser.parse_args()
    name, setup = arguments.dataset, SETUPS[arguments.dataset]
    folder = Path("runs") / f"strategies-{name}"
    if arguments.afresh and folder.exists():
        shutil.rmtree(folder)
    reasons = {one: refused(one, setup) for one in chosen_for(name)}
    chosen = [strategy for strategy, reason in reasons.items() if reason is None]
    found = demo(folder, setup=replace(setup, strategies=chosen), progress=progress)
    result = result_of(found, setup, command=f"python benchmarks/strategies.py {name}")
    allocations = {(one.granularity, one.name): str(one.allocation) for one in chosen}
    for row in result["rows"]:
        row["allocation"] = allocations.get((row["granularity"], row["strategy"]), "uniform")
        if name in UNTIMED:
            row |= dict.fromkeys(("score_seconds", "penalty_seconds", "speed_up"))
    refusals = [(one, reason) for one, reason in reasons.items() if reason is not None]
    result["refused"] = [
        *({"strategy": s.name, "granularity": s.granularity, "why": why} for s, why in refusals),
        *unmet(found.study),
    ]
    path = HERE / "results" / f"strategies-{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
