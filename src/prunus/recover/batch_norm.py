"""Batch-norm statistics, measured again.

A cut changes what the layers behind it see; the means and variances that batch norms learnt are
then those of another model. Reading a few batches again puts that right, for the price of their
forward passes.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from prunus.data import checked
from prunus.errors import DataError
from prunus.inputs import call, device_of
from prunus.modes import mode

_Statistics: TypeAlias = dict[str, Tensor]


def reestimate_batch_norm(model: nn.Module, data: Iterable[Any], *, batches: int = 100) -> int:
    """Measure the running statistics of every batch norm anew, in place.

    The mean and the variance become the plain average of those of the batches read, each batch
    with the same weight. Nothing else changes: dropout is off, momentum and training flags are
    given back, and what no batch reaches keeps its statistics. After an error all are as before.

    Args:
        model: Any module; 1d, 2d, 3d and synchronised batch norms are found.
        data: Batches (inputs, targets), or inputs alone; targets are not used.
        batches: Read so many at most. More change little from a hundred on.

    Returns:
        How many batch norms were measured; 0 where there is none, and then no data are read.

    Raises:
        DataError: `batches` is below 1, the data yield no batch, or one holds NaN or infinity.

    Source: Li et al. 2020, EagleEye, arXiv:2007.02491; the plain average is `momentum=None` of
    PyTorch's batch norms.

    Example:
        >>> model = nn.BatchNorm1d(2)
        >>> reestimate_batch_norm(model, [torch.tensor([[1.0, 4.0], [3.0, 8.0]])])
        1
        >>> model.running_mean, model.running_var
        (tensor([2., 6.]), tensor([2., 8.]))
    """
    if batches < 1:
        raise DataError(f"batches={batches} reads no batch", hint="batches is 1 or more")
    norms = [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    ]
    if not norms:
        return 0
    with mode(model, training=False), _averaging(norms), torch.no_grad():
        for inputs, _ in checked(islice(data, batches), device=device_of(model)):
            call(model, inputs)
        return sum(_has_read(norm) for norm in norms)


@contextmanager
def _averaging(norms: list[_BatchNorm]) -> Iterator[None]:
    """Let `norms` average what they see; then give back momentum, and what is still needed."""
    before = [(norm, norm.momentum, _copy_of(norm)) for norm in norms]
    finished = False
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        yield
        finished = True
    finally:
        for norm, momentum, statistics in before:
            norm.momentum = momentum
            if not (finished and _has_read(norm)):
                for name, buffer in norm.named_buffers():
                    buffer.copy_(statistics[name])


def _copy_of(norm: _BatchNorm) -> _Statistics:
    return {name: buffer.clone() for name, buffer in norm.named_buffers()}


def _has_read(norm: _BatchNorm) -> bool:
    return norm.num_batches_tracked is not None and bool(norm.num_batches_tracked > 0)
