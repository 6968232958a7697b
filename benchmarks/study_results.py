"""What the studies of the benchmarks keep: one row a strategy and budget, and how it was made."""

import os
import platform
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from prunus.demo import DemoResult, Setup
from prunus.study import Run, Study

HERE = Path(__file__).parent
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
