"""The same check for Torch-Pruning: half of the channels of every layer, outputs left alone."""

import copy
import time
from typing import Any

import torch
import torch_pruning as tp
from benchmarks.zoo.check import (
    SHARE,
    Row,
    built,
    largest_difference,
    made,
    outputs,
)  # fmt: skip
from benchmarks.zoo.network import Inputs, Network
from torch import nn

import prunus
from prunus import units
from prunus.inputs import call, tensors_in


def check(network: Network) -> Row:
    """Return what Torch-Pruning makes of `network`.

    It is told which layers make the outputs, as its guide asks, and nothing else. "handled": it
    prunes, the result runs at every batch size with outputs of the same shapes, and at least 20 %
    of the parameters fell. "exact": it moreover computes what the dense network computes with
    the same channels at zero.
    """
    model, inputs = built(network), made(network)
    dense = copy.deepcopy(model)
    before = sum(p.numel() for p in model.parameters())
    expected = [[t.shape for t in outputs(dense, batch)] for batch in inputs]
    ignored = output_layers(model, inputs[-1])
    began = time.process_time()
    pruner = tp.pruner.MagnitudePruner(
        model,
        inputs[-1],
        importance=tp.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.5,
        global_pruning=False,
        ignored_layers=ignored,
        forward_fn=call,
        output_transform=with_gradients,
    )
    pruner.step()
    seconds = time.process_time() - began
    after = sum(p.numel() for p in model.parameters())
    row: Row = {
        "verdict": "whole",
        "params": before,
        "params_after": after,
        "seconds": {"prune": round(seconds, 3)},
    }
    if after == before:
        return row
    found = [[t.shape for t in outputs(model, batch)] for batch in inputs]
    if found != expected:
        return row | {"verdict": "wrong", "message": "outputs of another shape"}
    if after > (1 - SHARE) * before:
        return row | {"verdict": "little"}
    return row | {"verdict": "handled", **exactness(dense, model, pruner, inputs)}


def output_layers(model: nn.Module, inputs: Inputs) -> list[nn.Module]:
    """Return the layers whose units are outputs of the model; the last layer where unknown."""
    try:
        groups = units.groups(prunus.trace(model, inputs), "channel")
    except prunus.PruneError:
        return [m for m in model.modules() if isinstance(m, nn.Linear)][-1:]
    names = {
        member.tensor.rpartition(".")[0]
        for group in groups.values()
        if group.frozen_because and "model output" in group.frozen_because
        for member in group.members
        if member.produces
    }
    return [model.get_submodule(name) for name in sorted(names)]


def with_gradients(output: Any) -> Any:
    """Return the tensors of an output that carry gradients."""
    return [t for t in tensors_in(output) if t.requires_grad]


def exactness(
    dense: nn.Module, pruned: nn.Module, pruner: Any, batches: list[Inputs]
) -> dict[str, Any]:
    """Return whether `pruned` computes what `dense` computes with the same channels at zero.

    Which numbers stayed is read off a twin whose parameters hold their own positions and that
    repeats the pruning.
    """
    try:
        tagged = copy.deepcopy(dense)
        with torch.no_grad():
            for parameter in tagged.parameters():
                parameter.copy_(torch.arange(parameter.numel()).view(parameter.shape) + 1)
        graph = tp.DependencyGraph().build_dependency(
            tagged, batches[-1], forward_fn=call, output_transform=with_gradients
        )
        graph.load_pruning_history(pruner.pruning_history())
        stayed = dict(tagged.named_parameters())
        with torch.no_grad():
            for name, parameter in dense.named_parameters():
                mask = torch.zeros(parameter.numel())
                mask[stayed[name].flatten().long() - 1] = 1
                parameter.mul_(mask.view(parameter.shape))
        worst, allowed = largest_difference(dense, pruned, batches)
    except Exception as error:  # noqa: BLE001 - what cannot be compared is said to be unknown
        return {"exact": None, "message": f"{type(error).__name__}: {error}"[:300]}
    return {"exact": worst <= allowed, "difference": worst, "tolerance": allowed}
