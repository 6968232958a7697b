"""The check of one network: pruned to half, proved, trained, saved and loaded."""

import copy
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from benchmarks.zoo.network import Inputs, Network, nothing_at_its_default
from torch import Tensor, nn

import prunus
from prunus import units
from prunus.inputs import call, map_tensors, tensors_in

Row = dict[str, Any]

SHARE = 0.2  # of the parameters must fall for a network to count as handled
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


class WrongError(Exception):
    """The shrunk network does not compute what the masked one computes."""


def check(network: Network, budget: float = 0.5) -> Row:
    """Return what became of `network`; an exception is the caller's to record.

    Raises:
        WrongError: The shrunk model differs from the masked one, or a loaded one from a saved one.
        Exception: Whatever the network or prunus raises.
    """
    clock = Clock()
    with clock("build"):
        model = built(network)
        inputs = made(network)
    with clock("prune"):
        try:
            pruned = prunus.prune(
                model, inputs[-1], budget=prunus.Budget(units=budget), verify=False
            )
        except prunus.errors.BudgetError as error:
            why = " ".join(str(error).split())
            return {"verdict": "whole", "message": why, **held_back(model, inputs[-1])}
    with clock("compare"):
        compare(pruned.masked(), pruned.model, inputs)
    with clock("train"):
        step(copy.deepcopy(pruned.model), network)
    with clock("save and load"), tempfile.TemporaryDirectory() as folder:
        prunus.save(pruned, Path(folder) / "small")
        back = prunus.load(Path(folder) / "small", model=built(network, seed=1))
        compare(pruned.model, back, inputs[-1:], what="the loaded model differs from the saved one")
    report = pruned.report
    return {
        "verdict": "passed",
        "params_after": report.after.params,
        "units": sum(row.size for row in report.groups),
        "units_cut": sum(row.size - row.kept for row in report.groups),
        "groups": len(report.groups),
        "groups_cut": sum(row.kept < row.size for row in report.groups),
        "seconds": clock.seconds,
        **held_back(model, inputs[-1], {r.name: r.frozen_because for r in report.groups}),
    }


# -- steps ------------------------------------------------------------------------------------


def built(network: Network, seed: int = 0) -> nn.Module:
    """Return the network in eval mode, with no number in it at its default."""
    torch.manual_seed(seed)
    return nothing_at_its_default(network.build()).eval()


def made(network: Network) -> list[Inputs]:
    """Return its inputs at every batch size."""
    torch.manual_seed(0)
    return [network.inputs(batch) for batch in network.batches]


def compare(
    expected: nn.Module,
    found: nn.Module,
    batches: Sequence[Inputs],
    what: str = "the shrunk model differs from the masked one",
) -> None:
    """Raise WrongError unless both compute the same; what float32 cannot tell, float64 does."""
    difference, allowed = largest_difference(expected, found, batches)
    if difference > allowed:
        try:
            twins = [copy.deepcopy(model).double() for model in (expected, found)]
            wide = [map_tensors(widened, inputs) for inputs in batches]
            difference, allowed = largest_difference(*twins, wide)
        except (RuntimeError, TypeError):
            pass  # it runs in float32 alone: that verdict stands
    if difference > allowed:
        raise WrongError(f"{what} by {difference:.3g} where rounding explains {allowed:.3g}")


def largest_difference(
    expected: nn.Module, found: nn.Module, batches: Sequence[Inputs]
) -> tuple[float, float]:
    """Return by how much outputs differ at most, and how much rounding explains."""
    worst, allowed = 0.0, 0.0
    for inputs in batches:
        ones, others = outputs(expected, inputs), outputs(found, inputs)
        shapes = [tuple(t.shape) for t in ones], [tuple(t.shape) for t in others]
        if shapes[0] != shapes[1]:
            raise WrongError(f"outputs of shapes {shapes[1]}, not {shapes[0]}")
        for one, other in zip(ones, others, strict=True):
            finite = one.isfinite()
            if not torch.equal(finite, other.isfinite()):
                raise WrongError("numbers that are not finite lie in other places")
            apart, scale = (one - other)[finite].abs(), one[finite].abs()
            if apart.numel():
                limit = TOLERANCE[torch.float32 if one.dtype != torch.float64 else one.dtype]
                limit *= float(scale.max())
                if float(apart.max()) - limit >= worst - allowed:
                    worst, allowed = float(apart.max()), limit
    return worst, allowed


def outputs(model: nn.Module, inputs: Inputs) -> list[Tensor]:
    """Return all tensors that `model` returns; whole numbers and truths as float64."""
    with torch.no_grad():
        torch.manual_seed(0)
        found = list(tensors_in(call(model.eval(), map_tensors(torch.clone, inputs))))
    return [t if t.is_floating_point() else t.double() for t in found if not t.is_complex()] + [
        torch.view_as_real(t) for t in found if t.is_complex()
    ]


def widened(tensor: Tensor) -> Tensor:
    """Return floats as float64."""
    return tensor.double() if tensor.is_floating_point() else tensor


def step(model: nn.Module, network: Network) -> None:
    """Train `model` for one step; raise WrongError unless gradients reach its parameters."""
    model.train().requires_grad_()
    torch.manual_seed(0)
    inputs = (network.training or network.inputs)(network.batches[-1])
    results = [t for t in tensors_in(call(model, inputs)) if t.requires_grad]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    torch.stack([t.float().square().mean() for t in results]).sum().backward()
    if all(p.grad is None for p in model.parameters()):
        raise WrongError("no gradient reaches a parameter")
    optimizer.step()


# -- what stays whole -------------------------------------------------------------------------


def held_back(
    model: nn.Module, inputs: Inputs, reasons: Mapping[str, str | None] | None = None
) -> Row:
    """Return how many parameters some cut reaches, and for which reasons the others stay.

    Args:
        model: The dense network.
        inputs: What it is traced with.
        reasons: Per group why it stays, where planning found that out after the trace.

    A parameter that no cut reaches counts under the reason of each of its dims.
    """
    graph = prunus.trace(model, inputs)
    groups = units.groups(graph, "channel")
    sizes = {name: model.get_parameter(name).numel() for name in graph.parameters}
    because = {name: (reasons or {}).get(name, g.frozen_because) for name, g in groups.items()}
    reached = {m.tensor for name, g in groups.items() if not because[name] for m in g.members}
    frozen: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for name, group in groups.items():
        if reason := because[name]:
            frozen[reason] += 1
            tensors = {member.tensor for member in group.members} - reached
            held[reason] += sum(sizes.get(tensor, 0) for tensor in tensors)
    return {
        "params": sum(p.numel() for p in model.parameters()),
        "reached": sum(sizes.get(tensor, 0) for tensor in reached),
        "operators": len(graph.operators),
        "frozen": [
            {"because": reason, "groups": frozen[reason], "params": held[reason]}
            for reason in sorted(frozen, key=lambda r: (-held[r], r))
        ],
    }


class Clock:
    """CPU time by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Measure what runs inside."""
        began = time.process_time()
        yield
        self.seconds[stage] = round(time.process_time() - began, 3)
