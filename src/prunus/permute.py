"""A model with its channels in an order that suits slots."""

import torch
from torch import nn

from prunus import units
from prunus.agreement import agree, example_batches, outputs_of
from prunus.errors import PlanError, VerifyError
from prunus.inputs import Inputs
from prunus.trace import trace
from prunus.trace.restore import copy_of
from prunus.units.permutation import index_of, orders


@torch.no_grad()
def permuted(model: nn.Module, example_inputs: Inputs, *, granularity: str = "2:4") -> nn.Module:
    """Return a copy of `model` that computes the same, with more magnitude kept by slots.

    Channels change places, with all that they own: rows, biases and norms of what makes them, and
    columns of what reads them. Then `prune` the result at the same granularity.

    Args:
        model: Untouched.
        example_inputs: As for `prune`.
        granularity: "2:4" or another n:m.

    Raises:
        PlanError: The granularity has no slots.
        VerifyError: The copy does not compute what `model` computes.

    Cost: A trace, the search of `prunus.units.permutation.orders`, one copy of the model, and
        two forward passes of each of the two at two batch sizes.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8))
        >>> rows = torch.randn(2, 4)
        >>> same = permuted(model, rows)
        >>> torch.allclose(same(rows), model(rows), atol=1e-6)
        True
    """
    granularity = units.spelled(granularity)
    if ":" not in granularity:
        raise PlanError(
            f"granularity '{granularity}' has no slots",
            why="the order of channels matters only where n of every m inputs stay",
            hint="granularity='2:4'",
        )
    graph = trace(model, example_inputs)
    parameters = dict(model.named_parameters())
    order = orders(graph, parameters, units.tilings(graph, granularity))
    result = copy_of(model)
    tensors = dict(result.named_parameters()) | dict(result.named_buffers())
    for name, value in graph.tensors.items():
        for dim, extent in enumerate(value.extents):
            index = index_of(extent, order).to(tensors[name].device)
            if not torch.equal(index, torch.arange(extent.size, device=index.device)):
                tensors[name].copy_(tensors[name].index_select(dim, index))
    batches = example_batches(model, example_inputs)
    try:
        agree(outputs_of(model, batches), outputs_of(result, batches))
    except VerifyError as error:
        raise VerifyError(
            "the model computes something else once its channels change places",
            why=error.what.replace("shrunk", "permuted").replace("masked", "given"),
            hint="prune it in the order that it has, and report the model",
        ) from error
    return result
