"""What every solver is given and gives back.

Legend for tensor names: O outputs of a layer, I inputs of one output.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Solution:
    """The pruned weights of one layer.

    Attributes:
        mask_OI: bool; True where the weight stays.
        weight_OI: The new weights; zero where the mask is False.
    """

    mask_OI: Tensor
    weight_OI: Tensor


class Solver(Protocol):
    """Chooses and re-solves the weights of one layer."""

    def refuses(self, channels: int) -> str | None:
        """Return why a layer that reads `channels` channels has to stay dense, else None."""
        ...

    def solve(self, weight_OI: Tensor, hessian_II: Tensor) -> Solution:
        """Return the pruned layer; the arguments are left as they are.

        Args:
            weight_OI: Floating point.
            hessian_II: Mean over the calibration inputs x of x x^T, float32 or float64. Of a
                convolution, I runs over kernel positions, and over channels within each.
        """
        ...
