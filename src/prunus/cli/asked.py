"""What is asked of a source of models, and what it answers."""

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn

from prunus.inputs import Inputs

Shape: TypeAlias = tuple[int, ...]
Built: TypeAlias = tuple[nn.Module, Inputs | None]
"""A model, and example inputs where they are known."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of a source.

    Attributes:
        name: What stands behind the colon; for the user's own function all of it.
        shape: Of the example inputs, where it was given.
        example: An item of the data, where there are data.
        classes: Of the data, where that is known.
        trained: Whether to fetch trained weights.
    """

    name: str
    shape: Shape | None = None
    example: Inputs | None = None
    classes: int | None = None
    trained: bool = True

    def inputs(self, default: Shape | None = None) -> Inputs | None:
        """Return numbers of the shape that was given; else an item of the data; else `default`.

        Example:
            >>> Asked(name="resnet", shape=(1, 3, 8, 8)).inputs().shape
            torch.Size([1, 3, 8, 8])
        """
        if self.shape is None and self.example is not None:
            return self.example
        shape = self.shape or default
        return None if shape is None else torch.randn(shape)
