"""The weights that are left, solved anew so that layers give what the dense ones gave.

Legend for tensor names: O outputs of a layer, I inputs of one output before the cut, K those that
are kept, N places where a layer was read. Where there is a bias, it is one more input, always 1.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from prunus.data import checked
from prunus.errors import DataError, PlanError
from prunus.inputs import Inputs, device_of
from prunus.modes import mode
from prunus.records import Plan
from prunus.recover.readers import Reader, readers
from prunus.solvers.matrices import Layer, as_matrices, as_weight, read_by
from prunus.solvers.reading import read_batch, stages


def reconstruct(
    model: nn.Module,
    data: Iterable[Any],
    *,
    dense: nn.Module,
    plan: Plan,
    damping: float = 1e-3,
    batches: int = 100,
) -> int:
    """Solve the layers that read removed units for what their dense twins gave, in place.

    Each gets the weights and bias of least squares: those for which its outputs, on what it reads
    in the pruned model, are nearest to the outputs of the dense layer on what that reads in the
    dense model. Layers are solved in the order in which they run, so that each makes up for what
    is left of the error before it. Grouped convolutions that lost channels stay as they are.

    Args:
        model: What `plan` made of `dense`.
        data: Batches (inputs, targets), or inputs alone, iterated once per set of layers that read
            the same tensor; targets are not used.
        dense: The dense model; it is run and left as it is.
        plan: What was kept; of whole units.
        damping: How strongly the weights are held where they are, as a share of the mean square
            of an input. With 0 the solution is exact, if the data tell all inputs apart.
        batches: Read so many at most.

    Returns:
        How many layers were solved; 0 where none lost inputs, and then no data are read.

    Raises:
        DataError: `batches` is below 1, the data end or are not finite, or without damping do
            not tell inputs apart.
        PlanError: Single weights were zeroed, or the plan does not fit the models.
        After an error all is as before.

    Cost: both models run over the data once per set of layers; two float64 matrices (K, K) and
        (I, K) per layer of it.

    Source: He et al. 2017, Channel Pruning, arXiv:1707.06168, section 3.1. Differs: held near
        the weights as they are, by ridge regression, and biases are solved along.

    Example:
        >>> dense = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> rows = torch.randn(64, 4)
        >>> pruned = prunus.prune(dense, rows, budget=prunus.Budget(units=0.5))
        >>> reconstruct(pruned.model, [rows], dense=dense, plan=pruned.plan)
        1
    """
    if batches < 1:
        raise DataError(f"batches={batches} reads no batch", hint="batches is 1 or more")
    if plan.zeroes:
        raise PlanError(
            "single weights were zeroed, and their layers lost no inputs to solve without",
            hint="prune with criterion='sparsegpt', which solves them, or compensate the biases",
        )
    found = readers(model, dense=dense, plan=plan)
    if not found:
        return 0
    held = [(p, p.detach().clone()) for each in found.values() for p in each.pruned.parameters()]
    with mode(model, training=False), mode(dense, training=False), torch.no_grad():
        try:
            inputs, _ = next(checked(data, device=device_of(model)))
            order = stages(model, inputs, {name: each.pruned for name, each in found.items()})
            for stage in order:
                of_stage = {name: found[name] for name in stage.names}
                for name, (read_KK, both_IK) in _moments(
                    model, dense, of_stage, islice(data, batches), once=stage.once
                ).items():
                    _solve(name, found[name], read_KK, both_IK, damping)
        except BaseException:
            for parameter, values in held:
                parameter.copy_(values)
            raise
    return sum(len(stage.names) for stage in order)


def _moments(
    model: nn.Module,
    dense: nn.Module,
    found: Mapping[str, Reader],
    data: Iterable[Any],
    *,
    once: bool,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return per layer the means of k k^T and i k^T over all places, float64.

    k is what the pruned layer reads, i what the dense one does.
    """
    sums: dict[str, tuple[Tensor, Tensor]] = {}
    pruned_layers = {name: each.pruned for name, each in found.items()}
    dense_layers = {name: each.dense for name, each in found.items()}
    for inputs, _ in checked(data, device=device_of(model)):
        kept = _read(model, pruned_layers, inputs, once=once)
        every = _read(dense, dense_layers, inputs, once=once)
        for name, kept_NK in kept.items():
            added = kept_NK.T @ kept_NK, every[name].T @ kept_NK
            before = sums.get(name)
            sums[name] = added if before is None else (before[0] + added[0], before[1] + added[1])
    return sums


def _read(
    model: nn.Module, layers: Mapping[str, Layer], inputs: Inputs, *, once: bool
) -> dict[str, Tensor]:
    """Return all that layers read of one batch, float64 (N, I), with a 1 where there is a bias."""
    pieces: dict[str, list[Tensor]] = {name: [] for name in layers}

    def add(name: str, given: Tensor) -> None:
        read_NI = read_by(layers[name], given)[0].double()
        if layers[name].bias is not None:
            read_NI = torch.cat([read_NI, read_NI.new_ones(len(read_NI), 1)], dim=1)
        pieces[name].append(read_NI)

    read_batch(model, layers, inputs, add, once=once)
    return {name: torch.cat(parts) for name, parts in pieces.items() if parts}


def _solve(name: str, reader: Reader, read_KK: Tensor, both_IK: Tensor, damping: float) -> None:
    """Give a pruned layer the weights of least squares, in place.

    They solve W (k k^T + d) = W_dense i k^T + d W_now, with d = damping * mean of k².
    """
    layer = reader.pruned
    hold = damping * read_KK.diagonal().mean()
    target_OK = _joined(reader.weight_GOI[0], reader.bias_GO) @ both_IK
    target_OK += hold * _joined(as_matrices(layer)[0], layer.bias)
    factor_KK, failed = torch.linalg.cholesky_ex(
        read_KK + hold * torch.eye(len(read_KK), dtype=read_KK.dtype, device=read_KK.device)
    )
    if bool(failed):
        raise DataError(
            f"the data do not tell the inputs of '{name}' apart",
            why="some are always alike or zero, so that many weights would do",
            hint="more data, or a damping such as damping=1e-3",
        )
    solved_OK = torch.cholesky_solve(target_OK.T, factor_KK).T
    if layer.bias is not None:
        layer.bias.copy_(solved_OK[:, -1])
        solved_OK = solved_OK[:, :-1]
    layer.weight.copy_(as_weight(layer, solved_OK[None]))


def _joined(weight_OI: Tensor, bias: Tensor | None) -> Tensor:
    """Return weights with the bias as one more input, float64."""
    if bias is None:
        return weight_OI.double()
    return torch.cat([weight_OI, bias.detach().reshape(-1, 1)], dim=1).double()
