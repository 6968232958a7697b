"""What a model costs as it stands: counted, exact, the same on every machine."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from prunus.errors import PruneError
from prunus.records import Cost

Memory: TypeAlias = tuple[int, int, tuple[int, ...], tuple[int, ...]]


def memory_of(tensor: Tensor) -> Memory:
    """Return what two tensors share when they are the same numbers in the same place.

    Works on every device, meta included. Holds as long as the tensor lives.
    """
    storage = tensor.untyped_storage()
    return storage._cdata, int(tensor.storage_offset()), tuple(tensor.shape), tensor.stride()


def transient_buffers(model: nn.Module) -> frozenset[str]:
    """Return the names of the buffers that `state_dict` leaves out (`persistent=False`).

    Example:
        >>> model = nn.Module()
        >>> model.register_buffer("angles", torch.zeros(2), persistent=False)
        >>> sorted(transient_buffers(model))
        ['angles']
    """
    return frozenset(
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules(remove_duplicate=False)
        for name in module._non_persistent_buffers_set
    )


def stored_tensors(model: nn.Module) -> Mapping[str, Tensor]:
    """Return what a file has to store: every parameter and persistent buffer, under every name."""
    transient = transient_buffers(model)
    named = chain(
        model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)
    )
    return {name: tensor.detach() for name, tensor in named if name not in transient}


def count(model: nn.Module, *, macs: int) -> Cost:
    """Return the counted cost of `model`. Tied tensors count once.

    Args:
        model: Any module; it is only read. Nothing is copied.
        macs: Its multiply-adds, from `CostModel.macs`: they depend on the example inputs.

    Raises:
        PruneError: If a parameter is on the meta device, where no number is zero or not.

    Example:
        >>> count(nn.Linear(3, 2), macs=6)
        Cost(params=8, nonzero=8, macs=6, bytes=32, latency=None, peak_memory=None)
    """
    parameters = list(_once(model.parameters()))
    if any(parameter.is_meta for parameter in parameters):
        raise PruneError(
            "the nonzero weights cannot be counted: the model is on the meta device",
            why="tensors there have a shape and no numbers",
            hint="build the model on a real device, such as torch.device('cpu')",
        )
    with torch.no_grad():
        nonzero = sum(map(_nonzero, parameters))
    return Cost(
        params=sum(parameter.numel() for parameter in parameters),
        nonzero=nonzero,
        macs=macs,
        bytes=sum(tensor.nbytes for tensor in _once(stored_tensors(model).values())),
    )


def _nonzero(tensor: Tensor) -> int:
    if tensor.device.type != "cpu":
        return int(torch.count_nonzero(tensor))
    return int(np.count_nonzero(tensor.bool().numpy()))  # several times as fast


def _once(tensors: Iterable[Tensor]) -> Iterator[Tensor]:
    seen: set[Memory] = set()
    for tensor in tensors:
        if (memory := memory_of(tensor)) not in seen:
            seen.add(memory)
            yield tensor
