"""Squared gradients of the loss of single items, which those of a batch do not give.

The mean over items of g ** 2 is not the square of the mean g: items whose gradients oppose each
other cancel in the second. Batches are therefore split, and each item is a batch of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from operator import itemgetter
from typing import Any

import torch

from prunus.data.loader import checked
from prunus.errors import DataError
from prunus.inputs import Inputs, device_of, map_tensors, tensors_in
from prunus.signals.gradients import GRADIENT_SQUARE, collect_gradients
from prunus.signals.signal import Request, Signal, Values


def collect_sample_gradients(request: Request) -> Values:
    """Return the mean over all items of the squared gradient of the loss of each.

    Every item counts once, also where batches differ in size. `request.progress` counts items.

    Cost: One forward and one backward pass per item. Memory: 4 bytes per scored weight.

    Raises:
        DataError: As `collect_gradients`, or a batch cannot be split into items.
        CriterionError: As `collect_gradients`.
    """
    items = replace(
        request, signals=frozenset({GRADIENT_SQUARE}), data=_Items(request), batches=None
    )
    return {SAMPLE_GRADIENT_SQUARE: collect_gradients(items)[GRADIENT_SQUARE]}


SAMPLE_GRADIENT_SQUARE = Signal(
    name="sample_grad_square_UF",
    meaning="mean over items of the squared gradient of the loss of one item",
    per="member",
    collector=collect_sample_gradients,
    requires=("data", "loss"),
)


@dataclass(frozen=True)
class _Items:
    """The items of all batches that `request` asks for, each as a batch of one."""

    request: Request

    def __iter__(self) -> Iterator[tuple[Inputs, Any]]:
        assert self.request.data is not None  # `collect` has checked that
        batches = islice(self.request.data, self.request.batches)
        for number, batch in enumerate(
            checked(batches, device=device_of(self.request.model)), start=1
        ):
            for item in range(_size(batch, number)):
                yield map_tensors(itemgetter(slice(item, item + 1)), batch)


def _size(batch: tuple[Inputs, Any], number: int) -> int:
    sizes = {tensor.shape[:1] for tensor in tensors_in(batch)}
    if len(sizes) != 1 or sizes == {torch.Size()}:
        listed = ", ".join(str(tuple(tensor.shape)) for tensor in tensors_in(batch))
        raise DataError(
            f"batch {number} cannot be split into items: its tensors have shapes {listed}",
            why="every tensor of inputs and targets is cut along its dim 0, one item each",
            hint="put the items in dim 0 of all of them, or use a criterion that reads the "
            "gradients of batches, such as taylor",
        )
    return next(iter(sizes))[0]
