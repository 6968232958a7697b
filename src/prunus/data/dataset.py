"""What a data set is: examples to train on, examples to test on, and the names of the classes."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class Examples(NamedTuple):
    """Inputs and targets, item by item.

    Attributes:
        inputs: float32 (N, C, H, W), normalised.
        targets: int64 (N,), from 0 to the number of classes - 1.
    """

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Images with labels, in memory.

    Attributes:
        name: What the command line calls it.
        train: Examples to train on.
        test: Examples to test on; none of them is in `train`.
        classes: Name of each class, in the order of the labels.
    """

    name: str
    train: Examples
    test: Examples
    classes: tuple[str, ...]
