"""A budget of latency beside one of MACs: is what was asked for what was got?

    python benchmarks/latency.py                                        # 3 to 5 minutes, alone
    python benchmarks/latency.py --items 320 --times 1 --output /dev/null   # a quick look

A small ResNet is trained on some of Fashion-MNIST, and its latency table measured. Then shares of
its MACs or of its latency are kept, shared out uniformly, uniformly in multiples of 8, or by the
knapsack, all with the Taylor criterion. The dense and the pruned model are measured in turns, at
different times. The accuracy, before and after an epoch of training, says what that was worth.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

import prunus
from prunus import Budget, Recipe
from prunus.cost import LatencyTable, measure_latencies
from prunus.data import Batches, fashion_mnist
from prunus.data.dataset import Examples
from prunus.networks import resnet
from prunus.verify import measure

RESULT = Path(__file__).parent / "results" / "latency.json"
BATCH, WIDTH = 32, 32
EXAMPLE = torch.randn(BATCH, 1, 28, 28)
SHARES = (0.5, 0.3)
TEST = 1000
WAYS: dict[str, tuple[str, str, int]] = {  # what is limited, allocation, multiple_of
    "MACs, uniform": ("macs", "uniform", 1),
    "latency, uniform": ("latency", "uniform", 1),
    "latency, uniform, multiples of 8": ("latency", "uniform", 8),
    "latency, knapsack": ("latency", "knapsack", 1),
}


class Bench:
    """The trained model, its table, and how others are measured beside it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        data = fashion_mnist(limit=arguments.items)
        self.train = Batches(data.train, batch_size=BATCH, shuffle=True, seed=arguments.seed)
        test = Examples(data.test.inputs[:TEST], data.test.targets[:TEST])
        self.test = Batches(test, batch_size=BATCH)
        self.times, self.seed = arguments.times, arguments.seed
        torch.manual_seed(arguments.seed)
        self.dense = resnet(width=WIDTH)
        self.fit(self.dense, epochs=arguments.epochs)
        start = time.perf_counter()
        self.table: LatencyTable = prunus.latency_table(self.dense, EXAMPLE)
        self.table_seconds = time.perf_counter() - start

    def fit(self, model: nn.Module, *, epochs: int) -> None:
        """Train in place."""
        recipe = Recipe(epochs=epochs, lr=0.05)
        prunus.fit(
            model, self.train, loss=nn.functional.cross_entropy, recipe=recipe, seed=self.seed
        )

    def accuracy(self, model: nn.Module) -> float:
        """Return the share of test images that are told."""
        return float(measure(model, self.test, "accuracy").double().mean())

    def rows(self) -> Iterator[dict[str, Any]]:
        """Keep every share in every way."""
        for share in SHARES:
            for way in WAYS:
                yield self.row(way, share)

    def row(self, way: str, share: float) -> dict[str, Any]:
        """Prune, measure, and train for an epoch."""
        target, allocation, multiple_of = WAYS[way]
        pruned = prunus.prune(
            self.dense,
            EXAMPLE,
            budget=Budget(**{target: share}, multiple_of=multiple_of),  # type: ignore[arg-type]
            criterion="taylor",
            allocation=allocation,
            data=list(islice(self.train, 8)),
            loss=nn.functional.cross_entropy,
            latency_table=self.table,
        )
        before, after = pruned.report.before, pruned.report.after
        latencies = [
            measure_latencies([self.dense, pruned.model], EXAMPLE, runs=15)
            for _ in range(self.times)
        ]
        shares = [small.median / dense.median for dense, small in latencies]
        prunus.reestimate_batch_norm(pruned.model, self.train)
        accuracy_cut = self.accuracy(pruned.model)
        self.fit(pruned.model, epochs=1)
        return {
            "way": way,
            "asked": share,
            "predicted": pruned.plan.provenance["predicted_latency_ms"] / self.table.dense.median,
            "measured": shares,
            "median_measured": median(shares),
            "macs": after.macs / before.macs,
            "params": after.params / before.params,
            "accuracy_cut": accuracy_cut,
            "accuracy": self.accuracy(pruned.model),
            "kept": dict(pruned.plan.counts),
        }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the table needs."""
    bench, rows = Bench(arguments), []
    print(f"{bench.table}; measured in {bench.table_seconds:.0f} s")
    for row in bench.rows():
        rows.append(row)
        print(
            f"{row['asked']:.0%} of {row['way']:34} predicted {row['predicted']:.0%}, measured "
            f"{row['median_measured']:.0%}; MACs {row['macs']:.0%}; accuracy "
            f"{row['accuracy_cut']:.1%}, {row['accuracy']:.1%}",
            flush=True,
        )
    return {
        "claim": "a budget of latency is met as measured; one of MACs is not one of latency",
        "rows": rows,
        "batch": BATCH,
        "width": WIDTH,
        "dense_ms": bench.table.dense.median,
        "dense_accuracy": bench.accuracy(bench.dense),
        "table_seconds": bench.table_seconds,
        "items": arguments.items,
        "epochs": arguments.epochs,
        "test_items": TEST,
        "command": " ".join(["python", "benchmarks/latency.py", *sys.argv[1:]]),
        "seed": arguments.seed,
        "date": datetime.now(UTC).date().isoformat(),
        "cpus": os.cpu_count(),
        "threads": arguments.threads,
        "torch": torch.__version__,
        "python": sys.version.split()[0],
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1600, help="images to train on")
    parser.add_argument("--epochs", type=int, default=4, help="of the dense model")
    parser.add_argument("--times", type=int, default=3, help="measurements of each model")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULT, help="where the figures go")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    result = run(arguments)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
