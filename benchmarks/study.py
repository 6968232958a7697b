"""Compare all strategies on a data set that ships: python benchmarks/study.py digits

Keeps results.jsonl and report.md in benchmarks/DATASET/, and the figures of the README in
benchmarks/results/DATASET.json. A study that was killed goes on where it stopped. Digits takes
minutes, Fashion-MNIST hours on two cores.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from prunus.demo import SETUPS, DemoResult, Setup, demo, setup_of
from prunus.study import Run, Study

HERE = Path(__file__).parent
SHARED = ("results.jsonl", "report.md")
ACCURACIES = ("accuracy_cut", "accuracy_batch_norm", "accuracy")


def row(runs: list[Run]) -> dict[str, Any]:
    """Return one strategy at one budget, over its seeds."""
    first = runs[0]
    ratios = [r.latency_dense / r.latency for r in runs if r.latency and r.latency_dense]
    return {
        "granularity": first.granularity,
        "budget": first.budget,
        "strategy": first.strategy,
        "kind": first.kind,
        "needs": list(first.needs),
        "seeds": {figure: [getattr(r, figure) for r in runs] for figure in ACCURACIES},
        **{figure: mean([getattr(r, figure) for r in runs]) for figure in ACCURACIES},
        "lower": min(r.comparison["lower"] for r in runs),
        "verdicts": sorted(str(r.comparison["verdict"]) for r in runs),
        "params": mean([r.params for r in runs]),
        "nonzero": mean([r.nonzero for r in runs]),
        "macs": mean([r.macs for r in runs]),
        "score_seconds": mean([r.score_seconds for r in runs]),
        "score_bytes": mean([r.score_bytes for r in runs]),
        "penalty_seconds": mean([r.penalty_seconds for r in runs]),
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


def result_of(found: DemoResult, setup: Setup, *, command: str) -> dict[str, Any]:
    """Return the figures of a study, and how they were made."""
    return {
        "title": setup.title,
        "dense": dict(found.study.facts.dense),
        "margin": setup.margin,
        "items": found.study.facts.items,
        "seeds": list(setup.seeds),
        "rows": rows(found.study),
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "cpus": os.cpu_count(),
        "threads": setup.threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def progress(done: int, total: int, text: str) -> None:
    print(f"{done}/{total} {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", nargs="?", default="digits", choices=sorted(SETUPS))
    parser.add_argument("--folder", type=Path, help="runs/DATASET unless given")
    arguments = parser.parse_args()
    name, setup = arguments.dataset, setup_of(arguments.dataset)
    folder = arguments.folder or Path("runs") / name
    found = demo(folder, setup=setup, progress=progress)
    kept = HERE / name
    kept.mkdir(exist_ok=True)
    for file in SHARED:
        shutil.copyfile(folder / file, kept / file)
    result = result_of(found, setup, command=f"python benchmarks/study.py {name}")
    path = HERE / "results" / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
