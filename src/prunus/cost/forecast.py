"""A predicted latency held against the measured one."""

import torch

from prunus.cost.latency import LatencyTable
from prunus.cost.timing import machine
from prunus.records import Latency
from prunus.text import duration, share

MUCH = 0.1  # of the prediction


def forecast(table: LatencyTable, predicted: float, *, before: Latency, after: Latency) -> str:
    """Return what was predicted and what was measured, and whether they agree, in words.

    Args:
        table: What predicted.
        predicted: Of the pruned model, in milliseconds.
        before: The dense model, measured in turns with the pruned one.
        after: The pruned model.
    """
    expected, found = predicted / table.dense.median, after.median / before.median
    said = (
        f"predicted latency: {duration(predicted)}, {share(expected, 1)} of dense; "
        f"measured: {duration(after.median)}, {share(found, 1)}"
    )
    if away := _elsewhere(table, before):
        return f"{said}; the two do not compare, since the latency table is of {away}"
    miss = found / expected - 1
    if abs(miss) <= MUCH:
        return said
    often = " and ".join(table.unmeasured) or "nothing"
    low, high = after.lower / before.upper / expected - 1, after.upper / before.lower / expected - 1
    if low <= MUCH and high >= -MUCH:
        return f"{said}; what was measured varies too much to say whether the prediction holds"
    kind = "slower" if miss > 0 else "faster"
    return (
        f"{said}; the prediction misses: the model is {abs(miss):.0%} {kind} than it says. "
        f"Not measured alone: {often}. A table measured with more runs on a machine that does "
        "nothing else may do better"
    )


def _elsewhere(table: LatencyTable, here: Latency) -> str:
    """Return where and how the table was measured, if that is not here and like this."""
    dense, about = table.dense, machine()
    of = {name: table.provenance.get(name, "") for name in about}
    version = table.provenance.get("torch", "")
    if (dense.device, dense.threads) != (here.device, here.threads):
        return f"{dense.device} with {dense.threads} thread{'s' if dense.threads > 1 else ''}"
    if of != about:
        return f"another machine, {', '.join(of.values())}"
    return "" if version == torch.__version__ else f"PyTorch {version}"
