"""What every solver is given and gives back, and the contract that it is held to.

Legend for tensor names: O outputs of a layer, I inputs of one output.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from prunus.errors import CriterionError


@dataclass(frozen=True)
class Goal:
    """What is to be left of a layer.

    Attributes:
        kept: How many weights stay.
        slots: (n, m) where of every m inputs in a row, of each output, exactly n stay.
    """

    kept: int
    slots: tuple[int, int] | None = None


@dataclass(frozen=True)
class Solution:
    """The pruned weights of one layer.

    Attributes:
        mask_OI: bool; True where the weight stays.
        weight_OI: The new weights; zero where the mask is False.
    """

    mask_OI: Tensor
    weight_OI: Tensor


class Solver(ABC):
    """Chooses which weights of a layer go, and solves those that stay anew.

    A criterion only ranks; a solver knows what the layer reads on calibration data, and changes
    the weights that stay so that its outputs change little.

    To add one: a frozen dataclass in its own file of this folder, with `solve`. Names, command
    line and contract tests find it by themselves.
    """

    @abstractmethod
    def solve(self, weight_OI: Tensor, hessian_II: Tensor, goal: Goal) -> Solution:
        """Return the pruned layer; the arguments are left as they are.

        Args:
            weight_OI: Floating point.
            hessian_II: Mean over the calibration inputs x of x x^T, float32 or float64. Of a
                convolution, I runs over kernel positions, and over channels within each.
            goal: What stays.
        """

    def __call__(self, weight_OI: Tensor, hessian_II: Tensor, goal: Goal) -> Solution:
        """Return the solution of `solve`, held to the contract.

        Raises:
            CriterionError: The solver broke the contract.
        """
        versions = weight_OI._version, hessian_II._version
        solution = self.solve(weight_OI, hessian_II, goal)
        for wrong, why in _faults(solution, weight_OI, goal):
            if wrong:
                raise CriterionError(f"{self!r} gave no solution", why=why)
        if (weight_OI._version, hessian_II._version) != versions:
            raise CriterionError(
                f"{self!r} wrote to what it was given",
                why="these are the weights of the model and a Hessian that other layers share",
                hint="use operations that return a new tensor",
            )
        return solution


def _faults(solution: Solution, weight_OI: Tensor, goal: Goal) -> list[tuple[bool, str]]:
    """Return what may be wrong with a solution, and whether it is."""
    mask_OI, found_OI = solution.mask_OI, solution.weight_OI
    if mask_OI.shape != weight_OI.shape or found_OI.shape != weight_OI.shape:
        return [(True, "its mask and weights need the shape of the layer's weights")]
    kept = int(mask_OI.sum())
    faults = [
        (found_OI.dtype != weight_OI.dtype, f"its weights are {found_OI.dtype}"),
        (not bool(found_OI.isfinite().all()), "its weights are not finite"),
        (bool(found_OI[~mask_OI].any()), "weights outside its mask are not zero"),
        (kept != goal.kept, f"it keeps {kept} weights, not {goal.kept}"),
    ]
    if goal.slots is not None:
        n, m = goal.slots
        kept_OS = mask_OI.reshape(len(mask_OI), -1, m).sum(2)
        faults.append((bool((kept_OS != n).any()), f"it does not keep {n} of every {m} inputs"))
    return faults
