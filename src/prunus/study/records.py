"""What a study writes down: one Run a line of `results.jsonl`, and the facts that they share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Run:
    """One strategy at one budget and one seed, as measured.

    Accuracies are fractions of the test items. Figures that do not apply are None.

    Attributes:
        strategy: Its name.
        kind: "pruned"; "control" for a choice by chance; "scratch" for the small dense network
            of the same cost, trained from scratch.
        granularity: "channel", "weight", ...
        budget: As `str(Budget)`, "macs=0.5".
        target: What the budget counts: "params", "macs", ...
        fraction: What is kept of it.
        seed: Of recovery and of whatever is random in the strategy.
        needs: What it needs beside the weights: "data", "labels", "training".
        accuracy_dense: Of the model that all start from.
        accuracy_cut: Right after the cut.
        accuracy_batch_norm: After batch-norm statistics were taken anew.
        accuracy: After recovery.
        comparison: Dense against recovered on the same test items: difference, lower, upper,
            margin, verdict, items, lost, gained.
        params: Of the result.
        nonzero: Of them not zero.
        macs: Of one forward pass at the example inputs.
        bytes: As stored.
        file_bytes: Of the file of the weights.
        latency: Median milliseconds of one batch.
        latency_dense: The same of the dense model, measured in turns with it.
        score_seconds: To score and choose.
        score_bytes: Largest memory of the tensors that scoring makes.
        penalty_seconds: To train under a penalty before the cut.
        recover_seconds: To recover; of a network from scratch, to train.
        agreement: Largest difference between masked and shrunk.
        kept: Per group (units kept, units).
        folder: Where the model is, below the folder of the study; None where it was not kept.
        steps: Of the optimizer in all, under a penalty and after the cut; None in older studies.
    """

    strategy: str
    kind: Literal["pruned", "control", "scratch"]
    granularity: str
    budget: str
    target: str
    fraction: float
    seed: int
    needs: tuple[str, ...]
    accuracy_dense: float
    accuracy_cut: float | None
    accuracy_batch_norm: float | None
    accuracy: float
    comparison: Mapping[str, Any]
    params: int
    nonzero: int
    macs: int
    bytes: int
    file_bytes: int | None
    latency: float | None
    latency_dense: float | None
    score_seconds: float | None
    score_bytes: int | None
    penalty_seconds: float | None
    recover_seconds: float
    agreement: float | None
    kept: Mapping[str, tuple[int, int]]
    folder: str | None = None
    steps: int | None = None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A strategy that could not meet a budget; the study went on without it.

    Attributes:
        strategy: Its name.
        kind: See `Run`.
        granularity: See `Run`.
        budget: See `Run`.
        target: See `Run`.
        fraction: See `Run`.
        seed: See `Run`.
        what: What the BudgetError says.
        why: The cause.
        hint: What to do about it.
    """

    strategy: str
    kind: Literal["pruned", "control", "scratch"]
    granularity: str
    budget: str
    target: str
    fraction: float
    seed: int
    what: str
    why: str
    hint: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What all runs of a study share: written first, and compared when a study goes on.

    Attributes:
        title: "small ResNet on digits".
        dense: Cost and accuracy of the dense model: params, macs, bytes, accuracy, file_bytes.
        recovery: The recipe that every run gets.
        margin: Largest loss of accuracy that still counts as the same, fixed beforehand.
        items: Number of test items.
        batch: Batch size of the latency measurement.
        threads: CPU threads.
        seeds: Of the study.
        versions: Of prunus, torch, python; the kind of processor.
        fingerprint: Hash of the dense weights, of the settings and of what they do on the test
            items.
        settings: How the study was asked for: strategies, budgets, loss, metric.
        epochs: Of training, by purpose: "dense", "recovery" (what every pruned model gets in
            all), "penalty" (what the penalised strategies spend of that before the cut) and
            "scratch" (as many as went into the dense model, and then the recovery).
    """

    title: str
    dense: Mapping[str, Any]
    recovery: Mapping[str, Any]
    margin: float
    items: int
    batch: int
    threads: int
    seeds: tuple[int, ...]
    versions: Mapping[str, str]
    fingerprint: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Study:
    """A finished, or half finished, comparison.

    Attributes:
        facts: What all runs share.
        runs: In the order in which they ran.
        failures: What could not run, because no plan meets the budget.
    """

    facts: Facts
    runs: tuple[Run, ...]
    failures: tuple[Failure, ...] = ()
