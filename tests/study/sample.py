"""Studies for the tests of the report: a realistic one, and small ones made by hand."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prunus.study.records import Facts, Run, Study

ITEMS, MARGIN = 360, 0.02
DENSE: Mapping[str, Any] = {
    "params": 28_394,
    "macs": 1_048_192,
    "bytes": 115_664,
    "accuracy": 0.983,
    "file_bytes": 118_020,
}
FACTS = Facts(
    title="small ResNet on digits",
    dense=DENSE,
    recovery={"epochs": 6, "optimizer": "sgd", "lr": 0.1, "weight_decay": 5e-4, "distill": 0.5},
    margin=MARGIN,
    items=ITEMS,
    batch=32,
    threads=1,
    seeds=(0, 1, 2),
    versions={"prunus": "0.1.0", "torch": "2.13.0", "python": "3.13.5", "processor": "x86_64"},
    fingerprint="5ca1ab1e" * 8,
    epochs={"dense": 20, "recovery": 6, "penalty": 3, "scratch": 26},
    settings={
        "strategies": {"magnitude channel": "Strategy(name='magnitude', allocation='uniform')"},
        "budgets": {"channel": ["macs=0.5", "macs=0.25"], "weight": ["params=0.5"]},
        "metric": "accuracy",
        "exclude": [],
    },
)
CHANNELS = {
    "stem.0": 16,
    "block1.conv1": 16,
    "block2.conv1": 32,
    "block2.conv2": 32,
    "dense.conv": 16,
    "separable.pointwise": 64,
}
WEIGHTS = {
    "stem.0.weight": 144,
    "block1.conv1.weight": 2304,
    "block1.conv2.weight": 2304,
    "block2.conv1.weight": 4608,
    "block2.conv2.weight": 9216,
    "block2.shortcut.0.weight": 512,
    "dense.conv.weight": 4608,
    "separable.depthwise.weight": 432,
    "separable.pointwise.weight": 3072,
    "head.weight": 640,
}


def comparison(difference: float, *, lower: float, upper: float) -> dict[str, Any]:
    """Return a comparison with its verdict, as `prunus.verify` gives it."""
    verdict = "not enough data to tell"
    if lower > -MARGIN:
        verdict = "same"
    if upper < -MARGIN:
        verdict = "worse"
    return {
        "difference": difference,
        "lower": lower,
        "upper": upper,
        "margin": MARGIN,
        "verdict": verdict,
        "items": ITEMS,
        "lost": max(round(-difference * ITEMS), 0) + 1,
        "gained": max(round(difference * ITEMS), 0) + 1,
    }


def make_run(strategy: str = "magnitude", *, accuracy: float = 0.98, **changes: Any) -> Run:
    """Return one run of a strategy that removes half of the channels; `changes` replace fields."""
    difference = accuracy - DENSE["accuracy"]
    run = Run(
        strategy=strategy,
        kind="pruned",
        granularity="channel",
        budget="macs=0.5",
        target="macs",
        fraction=0.5,
        seed=0,
        needs=(),
        accuracy_dense=DENSE["accuracy"],
        accuracy_cut=0.4,
        accuracy_batch_norm=0.7,
        accuracy=accuracy,
        comparison=comparison(difference, lower=difference - 0.008, upper=difference + 0.008),
        params=14_000,
        nonzero=14_000,
        macs=520_000,
        bytes=58_000,
        file_bytes=60_000,
        latency=1.0,
        latency_dense=1.8,
        score_seconds=0.02,
        score_bytes=200_000,
        penalty_seconds=None,
        recover_seconds=6.0,
        agreement=1e-6,
        kept={"stem.0": (8, 16)},
    )
    return replace(run, **changes)


def make_study(*runs: Run, **changes: Any) -> Study:
    """Return a study of some runs; `changes` replace facts."""
    return Study(facts=replace(FACTS, **changes), runs=runs)


def over_seeds(strategy: str, accuracies: Sequence[float], **changes: Any) -> list[Run]:
    """Return one run per seed, with the accuracies given."""
    return [
        make_run(strategy, accuracy=accuracy, seed=seed, **changes)
        for seed, accuracy in enumerate(accuracies)
    ]


# -- a realistic study --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Habit:
    """How a strategy of the sample behaves.

    Attributes:
        loss: Points of accuracy lost after recovery at half, a quarter and a tenth.
        damage: Share of the accuracy that is gone right after the cut, per budget.
    """

    loss: tuple[float, float, float]
    damage: tuple[float, float, float]
    needs: tuple[str, ...] = ()
    kind: str = "pruned"
    score: float = 0.01
    penalty: float | None = None
    evenness: float = 0.6


FRACTIONS = (0.5, 0.25, 0.1)
HABITS = {
    "magnitude": Habit(loss=(0.1, 0.9, 5.5), damage=(0.25, 0.7, 0.88)),
    "gradient": Habit(
        loss=(0.6, 3.0, 42.0),
        damage=(0.6, 0.88, 0.9),
        needs=("data", "labels"),
        score=0.21,
        evenness=0.1,
    ),
    "taylor": Habit(
        loss=(0.0, 0.7, 3.9), damage=(0.1, 0.55, 0.85), needs=("data", "labels"), score=0.23
    ),
    "l1": Habit(
        loss=(0.2, 1.0, 4.8),
        damage=(0.02, 0.3, 0.8),
        needs=("data", "labels", "training"),
        penalty=7.5,
    ),
    "l2": Habit(
        loss=(0.1, 1.1, 5.9),
        damage=(0.05, 0.4, 0.85),
        needs=("data", "labels", "training"),
        penalty=7.1,
    ),
    "group-lasso": Habit(
        loss=(0.0, 0.4, 2.6),
        damage=(0.01, 0.05, 0.4),
        needs=("data", "labels", "training"),
        penalty=9.8,
    ),
    "random": Habit(
        loss=(0.5, 2.4, 9.5), damage=(0.8, 0.9, 0.9), kind="control", score=0.001, evenness=1.0
    ),
    "scratch": Habit(
        loss=(0.9, 1.6, 4.4), damage=(0, 0, 0), needs=("data", "labels", "training"), kind="scratch"
    ),
}


def sample_study() -> Study:
    """Return 8 strategies x 3 budgets x 2 granularities x 3 seeds; the same at every call."""
    dice = random.Random(0)
    return make_study(
        *(
            _sample_run(name, granularity, level, seed, dice)
            for granularity in ("weight", "channel")
            for level in range(3)
            for name in HABITS
            for seed in range(3)
        )
    )


def _sample_run(name: str, granularity: str, level: int, seed: int, dice: random.Random) -> Run:
    habit, fraction = HABITS[name], FRACTIONS[level]
    weights, scratch = granularity == "weight", habit.kind == "scratch"
    loss = habit.loss[level] * (0.4 if weights and not scratch else 1.0)
    spread = 0.25 + 0.15 * loss
    accuracy = DENSE["accuracy"] - (loss + dice.gauss(0, spread)) / 100
    accuracy = round(min(accuracy, 1.0) * ITEMS) / ITEMS
    difference = accuracy - DENSE["accuracy"]
    reach = 1.96 * math.sqrt((0.006 + abs(difference)) / ITEMS) * (1.6 if scratch else 1.0)
    damage = habit.damage[level] * (0.5 if weights else 1.0)
    cut = DENSE["accuracy"] * (1 - damage) + 0.02 * dice.random()
    return make_run(
        name,
        kind=habit.kind,
        granularity=granularity,
        budget=f"{'params' if weights else 'macs'}={fraction}",
        target="params" if weights else "macs",
        fraction=fraction,
        seed=seed,
        needs=habit.needs,
        accuracy=accuracy,
        comparison=comparison(difference, lower=difference - reach, upper=difference + reach),
        accuracy_cut=None if scratch else cut,
        accuracy_batch_norm=None if scratch else cut + 0.6 * (accuracy - cut),
        penalty_seconds=habit.penalty,
        score_seconds=None if scratch else habit.score * (0.9 + 0.2 * dice.random()),
        score_bytes=None if scratch else round(210_000 * (1 + 4 * (habit.score > 0.1))),
        recover_seconds=6 * (0.4 + 0.6 * fraction) * (0.95 + 0.1 * dice.random()),
        kept={} if scratch else _kept(WEIGHTS if weights else CHANNELS, habit, fraction, dice),
        **_costs(fraction, scratch=scratch, weights=weights, dice=dice),
    )


def _kept(
    groups: Mapping[str, int], habit: Habit, fraction: float, dice: random.Random
) -> dict[str, tuple[int, int]]:
    kept = {}
    for position, (name, size) in enumerate(groups.items()):
        slope = 1.4 - 0.8 * position / (len(groups) - 1)
        share = fraction ** (0.8 if len(groups) == len(CHANNELS) else 1.0)
        share *= habit.evenness + (1 - habit.evenness) * slope * (0.9 + 0.2 * dice.random())
        kept[name] = (max(1, min(size, round(size * share))), size)
    return kept


def _costs(fraction: float, *, scratch: bool, weights: bool, dice: random.Random) -> dict[str, Any]:
    noise = 0.97 + 0.06 * dice.random()
    if weights and not scratch:
        return {
            "params": DENSE["params"],
            "nonzero": round(DENSE["params"] * fraction),
            "macs": DENSE["macs"],
            "bytes": DENSE["bytes"],
            "file_bytes": DENSE["file_bytes"],
            "latency": 1.9 * noise,
            "latency_dense": 1.9,
            "agreement": None,
        }
    params = round(DENSE["params"] * fraction * (0.9 + 0.2 * dice.random()))
    return {
        "params": params,
        "nonzero": params,
        "macs": round(DENSE["macs"] * fraction * 0.99),
        "bytes": params * 4 + 2_000,
        "file_bytes": params * 4 + 4_400,
        "latency": 1.9 * fraction**0.82 * noise,
        "latency_dense": 1.9,
        "agreement": None if scratch else 2e-6,
    }
