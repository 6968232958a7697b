"""Compare every criterion, penalty and solver on one budget: python benchmarks/strategies.py digits

One study per data set, weights and channels, three seeds: accuracy right after the cut and after
recovery, and what choosing costs. Figures go to benchmarks/results/strategies-DATASET.json, from
where benchmarks/tables.py brings them to the pages of the strategies. What cannot score a
granularity at all is listed there with the reason. A study that was killed goes on.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from study import HERE, progress, result_of
from torch import nn

from prunus import Budget, Strategy, criteria
from prunus.allocate import default
from prunus.demo import Setup, demo, setup_of
from prunus.errors import PruneError
from prunus.planner import Planner
from prunus.study.strategy import strategies
from prunus.train import Recipe

# The largest cut that leaves something to tell apart: at weight level most survive more.
BUDGETS = {"channel": [Budget(macs=0.5)], "weight": [Budget(params=0.1)]}
SETUPS = {
    "digits": replace(setup_of("digits"), budgets=BUDGETS, title="every strategy on digits"),
    "fashion-mnist": replace(
        setup_of("fashion-mnist"),
        title="every strategy on Fashion-MNIST",
        budgets=BUDGETS,
        width=16,
        limit=3000,
        recipe=Recipe(epochs=2, optimizer="adamw", lr=0.01, weight_decay=0.01),
        dense_epochs=10,
    ),
}


def every(granularity: str) -> Iterator[Strategy]:
    """Yield what ships with prunus: all criteria, and the penalties that a study runs anyway."""
    shipped = {strategy.name: strategy for strategy in strategies(granularity)}
    for name in criteria.names():
        yield shipped.pop(name, None) or Strategy(
            name=name, criterion=name, granularity=granularity, allocation=default(granularity)
        )
    yield from shipped.values()


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
        planner.choose(planner.scores(data=data, loss=loss))
    except PruneError as error:
        return str(error).splitlines()[0]
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", nargs="?", default="digits", choices=sorted(SETUPS))
    name = parser.parse_args().dataset
    setup = SETUPS[name]
    reasons = {one: refused(one, setup) for level in BUDGETS for one in every(level)}
    chosen = [strategy for strategy, reason in reasons.items() if reason is None]
    folder = Path("runs") / f"strategies-{name}"
    found = demo(folder, setup=replace(setup, strategies=chosen), progress=progress)
    result = result_of(found, setup, command=f"python benchmarks/strategies.py {name}")
    result["refused"] = [
        {"strategy": one.name, "granularity": one.granularity, "why": reason}
        for one, reason in reasons.items()
        if reason is not None
    ]
    path = HERE / "results" / f"strategies-{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
