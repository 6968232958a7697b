"""Compare all strategies on Fashion-MNIST: python benchmarks/fashion_mnist.py

Writes benchmarks/fashion_mnist/results.jsonl, report.html and report.md, and the figures of the
README to benchmarks/results/fashion_mnist.json. A run that was killed goes on where it stopped.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from prunus.demo import demo, setup_of
from prunus.study import Run, Study

HERE = Path(__file__).parent
SHARED = ("results.jsonl", "report.html", "report.md")


def row(runs: list[Run]) -> dict[str, Any]:
    """Return one strategy at one budget, over its seeds."""
    first = runs[0]
    ratios = [r.latency_dense / r.latency for r in runs if r.latency and r.latency_dense]
    return {
        "granularity": first.granularity,
        "budget": first.budget,
        "strategy": first.strategy,
        "accuracy_cut": mean([r.accuracy_cut for r in runs]),
        "accuracy": mean([r.accuracy for r in runs]),
        "lower": min(r.comparison["lower"] for r in runs),
        "verdicts": sorted(str(r.comparison["verdict"]) for r in runs),
        "params": mean([r.params for r in runs]),
        "nonzero": mean([r.nonzero for r in runs]),
        "macs": mean([r.macs for r in runs]),
        "speed_up": statistics.median(ratios) if ratios else None,
    }


def mean(values: list[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def rows(study: Study) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for run in study.runs:
        groups.setdefault((run.granularity, run.budget, run.strategy), []).append(run)
    return [row(runs) for runs in groups.values()]


def progress(done: int, total: int, text: str) -> None:
    print(f"{done}/{total} {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/fashion_mnist"))
    parser.add_argument("--all", action="store_true", help="all budgets, weights too")
    arguments = parser.parse_args()
    setup = setup_of("fashion-mnist")
    if not arguments.all:  # hours on two cores
        setup = replace(setup, budgets={"channel": setup.budgets["channel"][:1]})
    found = demo(arguments.folder, setup=setup, progress=progress)
    kept = HERE / "fashion_mnist"
    kept.mkdir(exist_ok=True)
    for name in SHARED:
        shutil.copyfile(arguments.folder / name, kept / name)
    result = {
        "claim": "channel pruning at 50 % of the MACs: the same accuracy at a margin of 1 point",
        "dense": dict(found.study.facts.dense),
        "margin": setup.margin,
        "items": found.study.facts.items,
        "seeds": list(setup.seeds),
        "rows": rows(found.study),
        "seconds": found.seconds,
        "command": "python benchmarks/fashion_mnist.py",
        "date": datetime.now(UTC).date().isoformat(),
        "cpus": os.cpu_count(),
        "threads": setup.threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    path = HERE / "results" / "fashion_mnist.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
