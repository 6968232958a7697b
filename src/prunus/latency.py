"""A latency table of a model, measured on this machine."""

from torch import nn

from prunus.cost import LatencyTable
from prunus.cost.timing import measure_table
from prunus.inputs import Inputs
from prunus.trace import trace


def latency_table(
    model: nn.Module,
    example_inputs: Inputs,
    *,
    levels: int = 4,
    runs: int = 5,
    threads: int | None = None,
) -> LatencyTable:
    """Return how long the operators of a model take at several widths, measured here and now.

    With it a budget of latency is met without a model being built for every guess. Measure once,
    on the device and at the batch size that count, and keep the table in a file.

    Args:
        model: The dense model, where it is to run.
        example_inputs: As for `prune`; the batch size matters.
        levels: Widths at which each operator is measured, spread evenly; and one more than each,
            since kernels work in steps.
        runs: Timed runs at each width.
        threads: CPU threads for PyTorch; by default as many as it uses now.

    Raises:
        TraceError: The model could not be recorded.
        PruneError: A number is out of range.

    Cost: a trace, and `runs + 1` runs of each operator at `(2 * levels) ** 2` pairs of widths,
        once for all layers that are alike.

    Source: He et al. 2018, arXiv:1802.03494, and Shen et al. 2022, arXiv:2110.10811, measure
        layers and add them up. Differs: every operator that runs, what is left of the whole
        model, and noise that no plan can profit from.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> table = latency_table(model, torch.randn(16, 4), runs=3)
        >>> table.dense.batch, len(table.curves)
        (16, 3)
        >>> budget = prunus.Budget(units=0.5)   # with latency=0.6 the table would say how many
        >>> pruned = prunus.prune(model, torch.randn(16, 4), budget=budget, latency_table=table)
        >>> pruned.report.notes
        ('predicted latency: ..., ... % of dense; measured: ..., ... %...',)
    """
    graph = trace(model, example_inputs)
    return measure_table(model, example_inputs, graph, levels=levels, runs=runs, threads=threads)
