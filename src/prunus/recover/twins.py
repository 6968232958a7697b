"""What a removed unit did, done by the unit that is most like it.

Legend for tensor names: O outputs of a layer, P kernel positions, C channels that the dense layer
reads, K those that are kept, R those that were removed.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from prunus.errors import DataError, PlanError
from prunus.modes import mode
from prunus.records import Plan
from prunus.recover.readers import Reader, readers
from prunus.solvers.matrices import as_matrices, as_weight, read_by
from prunus.solvers.reading import read


def fold_twins(
    model: nn.Module, data: Iterable[Any], *, dense: nn.Module, plan: Plan, batches: int = 100
) -> int:
    """Add to the weights of a kept unit those of each removed unit that it resembles, in place.

    Of each layer that lost inputs: the twin of removed r is the kept k whose output, times one
    factor f, is nearest to that of r on the data, and W[:, k] += f * W[:, r] with
    f = mean of x[r] x[k] / mean of x[k]². A unit that was a multiple of its twin is lost without a
    trace. One factor moves one unit, so that few data are enough; where units are not alike it
    does little, or harm where many share a twin: see `reconstruct`, which solves all at once.
    Grouped convolutions that lost channels stay as they are.

    Args:
        model: What `plan` made of `dense`.
        data: Batches (inputs, targets), or inputs alone, iterated once; targets are not used.
        dense: The dense model; it is run and left as it is.
        plan: What was kept; of whole units.
        batches: Read so many at most.

    Returns:
        How many layers were changed; 0 where none lost inputs, and then no data are read.

    Raises:
        DataError: `batches` is below 1, the data end, or they hold NaN or infinity.
        PlanError: Single weights were zeroed, or the plan does not fit the models.
        After an error all is as before.

    Cost: one pass of the dense model, and one float64 matrix (C, C) per layer.

    Source: Srinivas and Babu 2015, Data-free Parameter Pruning, arXiv:1507.06149, section 3;
        what the duplicates of FPGM (arXiv:1811.00250) leave undone. Differs: likeness is what
        units give on data, not their weights, so that biases, norms and scales count.

    Example:
        >>> dense = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 1))
        >>> _ = dense[0].weight.data[1].copy_(dense[0].weight.data[0])
        >>> _ = dense[0].bias.data[1].copy_(dense[0].bias.data[0])
        >>> rows = torch.randn(64, 4)
        >>> pruned = prunus.prune(dense, rows, budget=prunus.Budget(units=0.5))
        >>> fold_twins(pruned.model, [rows], dense=dense, plan=pruned.plan)
        1
        >>> torch.testing.assert_close(pruned.model(rows), dense(rows))
    """
    if batches < 1:
        raise DataError(f"batches={batches} reads no batch", hint="batches is 1 or more")
    if plan.zeroes:
        raise PlanError(
            "single weights were zeroed, and no unit was removed that another could stand for",
            hint="prune with criterion='sparsegpt', which moves them, or compensate the biases",
        )
    found = readers(model, dense=dense, plan=plan)
    if not found:
        return 0
    with mode(dense, training=False), torch.no_grad():
        likeness = _likeness(dense, found, islice(data, batches))
        for name, both_CC in likeness.items():
            _fold(found[name], both_CC)
    return len(likeness)


def _likeness(dense: nn.Module, found: dict[str, Reader], data: Iterable[Any]) -> dict[str, Tensor]:
    """Return the sum of x x^T over all places and kernel positions, float64, per layer."""
    sums: dict[str, Tensor] = {}
    layers = {name: reader.dense for name, reader in found.items()}

    def add(name: str, given: Tensor) -> None:
        layer = layers[name]
        channels = layer.weight.shape[1]
        read_NC = read_by(layer, given)[0].double().view(-1, channels)
        both_CC = read_NC.T @ read_NC
        sums[name] = sums[name] + both_CC if name in sums else both_CC

    read(dense, layers, data, add, once=False)
    return sums


def _fold(reader: Reader, both_CC: Tensor) -> None:
    """Move the weights of the removed inputs of one layer to their twins, in place."""
    channels = len(both_CC)
    kept_C = reader.inputs[:channels]
    own_K = both_CC.diagonal()[kept_C]
    factor_RK = torch.where(own_K > 0, both_CC[~kept_C][:, kept_C] / own_K, 0.0)
    twin_R = (factor_RK.square() * own_K).argmax(dim=1)  # the energy of r that k accounts for
    factor_R = factor_RK.gather(1, twin_R[:, None])[:, 0]
    every_OPC = torch.unflatten(reader.weight_GOI[0].double(), 1, (-1, channels))
    left_OPK = torch.unflatten(as_matrices(reader.pruned)[0].double(), 1, (-1, len(own_K)))
    left_OPK = left_OPK.index_add(2, twin_R, every_OPC[..., ~kept_C] * factor_R)
    reader.pruned.weight.copy_(as_weight(reader.pruned, left_OPK.flatten(1)[None]))
