"""Data as one run of a study reads them: by its seed, whatever was read before."""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch

from prunus.data import set_epoch

_APART = 1_000_000  # epochs between two seeds: more than any of them reads


class Seeded:
    """Training data in the order of one seed.

    Data that shuffle by the epoch, as `prunus.data.Batches` does, are read from an epoch on that
    is the seed's own. Others, as a DataLoader with `shuffle=True`, go by PyTorch's random state.

    Args:
        data: Batches (inputs, targets).
        seed: Of the run.
        epoch: How many epochs of the run were read before.

    Example:
        >>> class Epochs(list):
        ...     def set_epoch(self, epoch):
        ...         self[:] = [epoch]
        >>> data = Seeded(Epochs(), seed=2, epoch=5)
        >>> data.set_epoch(1)
        >>> list(data)
        [2000006]
    """

    def __init__(self, data: Iterable[Any], *, seed: int, epoch: int = 0) -> None:
        self.data = data
        self.first = seed * _APART + epoch

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass epoch `epoch`, counted from 0."""
        set_epoch(self.data, self.first + epoch)

    def __len__(self) -> int:
        return len(self.data)  # type: ignore[arg-type]  # TypeError is what `len` raises then

    def __iter__(self) -> Iterator[Any]:
        return iter(self.data)


class Calibration:
    """The first batches of the first epoch, the same at every pass.

    Args:
        data: What is read.
        batches: How many; all where None.
    """

    def __init__(self, data: Seeded, *, batches: int | None) -> None:
        self.data = data
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        self.data.set_epoch(0)
        return islice(iter(self.data), self.batches)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from `seed` inside; leave every random state as it was.

    That of PyTorch, of NumPy and of Python, which augmentations use.
    """
    numpy_before, python_before = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            yield
        finally:
            np.random.set_state(numpy_before)
            random.setstate(python_before)
