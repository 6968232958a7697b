"""The steps of `prunus prune`, between the model and the table."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

from prunus import api, units
from prunus.api import Pruned
from prunus.cli.datasets import Data, items_of
from prunus.cli.recovery import TEXTS
from prunus.cli.render import Screen
from prunus.cli.saved import check_target
from prunus.cli.sources import Source
from prunus.cli.training import Shown, cross_entropy, steps_of
from prunus.cost import (
    CostModel,
    LatencyTable,
    count,
    measure_latencies,
    measure_peak_memory,
)
from prunus.errors import DataError, SaveError, StudyError
from prunus.inputs import Inputs
from prunus.latency import latency_table
from prunus.planner import default_criterion, scorer_of
from prunus.records import Cost
from prunus.recover import Recovery, Training
from prunus.recover import recover as api_recover
from prunus.save import load_latency_table, save_latency_table
from prunus.trace import trace
from prunus.train import Recipe
from prunus.verify import Comparison, verify
from prunus.verify.paired import check_margin


def check(
    *, model: str, data: str | None, recover: str | None, margin: float, out: Path | None
) -> None:
    """Find out what can be found out before the work begins.

    Raises:
        PruneError: The work would end without a result.
    """
    check_margin(margin)
    if recover not in (None, "0") and data is None:
        raise DataError(f"--recover {recover} needs data to train on", hint="--data digits")
    if out is None:
        return
    check_target(out)
    if Path(model).is_dir() and out.resolve() == Path(model).resolve():
        raise SaveError(
            f"'{out}' cannot hold a model that was cut from the one in it",
            why="it takes the one to read the other",
            hint="choose another folder",
        )


def check_report() -> None:
    """Raise a StudyError where a report cannot be drawn, before the work begins."""
    if find_spec("plotly") is None:
        raise StudyError(
            "the report cannot be drawn",
            why="plotly is not installed",
            hint="pip install 'prunus[report]'",
        )


def prune(
    screen: Screen, source: Source, data: Data | None, *, criterion: str | None, **settings: Any
) -> Pruned:
    """Cut, and check that the small model computes what the masked one does.

    Args:
        screen: For the bar.
        source: What to cut.
        data: For a criterion or solver that reads data.
        criterion: Its name; that which serves the granularity where None.
        settings: See `prunus.prune`.
    """
    granularity = settings["granularity"]
    scorer, solver = scorer_of(criterion or default_criterion(granularity))
    reads = solver is not None or any(signal.requires for signal in scorer.needs)
    reads = reads or units.straightens(granularity)  # lines are fitted to what is read
    with screen.bar("pruning"):
        return api.prune(
            source.model,
            source.inputs,
            criterion=criterion,
            data=data.training if data and reads else None,
            loss=cross_entropy,
            **settings,
        )


def table_in(screen: Screen, source: Source, path: Path | None) -> LatencyTable | None:
    """Return the latency table of a file; it is measured and written where there is none."""
    if path is None:
        return None
    if not path.exists():
        with screen.bar("measuring layers"):
            save_latency_table(latency_table(source.model, source.inputs), path)
    return load_latency_table(path)


def recover(
    screen: Screen, pruned: Pruned, data: Data, steps: Sequence[Recovery], *, recipe: Recipe
) -> None:
    """Bring accuracy back, in place, step by step."""
    for step in steps:
        name, total = TEXTS[type(step)], None
        if isinstance(step, Training):
            total = steps_of(step.recipe or recipe, data.training)
        with screen.bar(name, total) as at:
            api_recover(
                pruned, [step], data=data.training, loss=cross_entropy, recipe=recipe,
                hooks=[Shown(at, name)],
            )  # fmt: skip


def compared(
    screen: Screen, before: nn.Module, after: nn.Module, data: Data, *, margin: float
) -> Comparison:
    """Return the accuracy before and after, with a verdict."""
    return verify(before, after, screen.reading("measuring accuracy", data.test), margin=margin)


def measured(screen: Screen, pruned: Pruned, inputs: Inputs) -> Pruned:
    """Return `pruned` with the costs of its model as it is now, and measured time.

    Where no tensor became smaller there is nothing to time.
    """
    report = pruned.report
    after = count(pruned.model, macs=report.after.macs)
    before = report.before
    if not pruned.plan.zeroes and pruned.dense is not None:
        with screen.bar("measuring time"):
            dense, small = measure_latencies([pruned.dense, pruned.model], inputs)
        before, after = replace(before, latency=dense), replace(after, latency=small)
    return replace(pruned, report=replace(report, before=before, after=after))


def costs_of(
    screen: Screen,
    models: Sequence[nn.Module],
    inputs: Inputs,
    *,
    seconds: float,
    threads: int | None,
) -> list[Cost]:
    """Return the costs of models that take the same inputs, MACs of one item, time in turns."""
    found = []
    with screen.bar("counting"):
        for model in models:
            graph = trace(model, items_of(inputs, 1))
            counted = count(model, macs=CostModel(graph).macs({}))
            found.append(replace(counted, peak_memory=measure_peak_memory(model, inputs)))
    with screen.bar("measuring time"):
        times = measure_latencies(models, inputs, seconds=seconds, threads=threads)
    return [replace(cost, latency=time) for cost, time in zip(found, times, strict=True)]
