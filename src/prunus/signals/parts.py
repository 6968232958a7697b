"""Numbers of the parts of a weight that operators read, put together in the weight's own shape."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from prunus.signals.reads import Place


def assembled(
    parameter: Tensor,
    parts: Iterable[tuple[Place, Tensor]],
    *,
    write: Callable[[Tensor, Tensor], Any] = Tensor.copy_,
) -> Tensor:
    """Return a tensor of the shape of `parameter`; zero where nothing was read.

    Args:
        parameter: Of whose memory the places are parts.
        parts: Where an operator read, and numbers in that shape.
        write: What happens where parts overlap: the last one counts, or `Tensor.add_`.

    Cost: Nothing where one operator reads the whole weight, as it is or transposed; else a copy.
    """
    listed = list(parts)
    if len(listed) == 1:
        place, value = listed[0]
        if _same(place, parameter):
            return value
        if len(place.shape) == 2 and _same(_turned(place), parameter):
            return value.mT
    first = next((value for _, value in listed), parameter)
    memory = torch.zeros(parameter.numel(), dtype=first.dtype, device=first.device)
    for place, value in listed:
        write(memory.as_strided(place.shape, place.stride, place.offset), value)
    return memory.as_strided(parameter.shape, parameter.stride())


def _same(place: Place, parameter: Tensor) -> bool:
    return place.shape == tuple(parameter.shape) and place.stride == parameter.stride()


def _turned(place: Place) -> Place:
    return Place(place.parameter, place.shape[::-1], place.stride[::-1], place.offset)
