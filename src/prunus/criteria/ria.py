"""RIA: a weight matters by its share of what an input gives and of what an output gets."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.errors import CriterionError
from prunus.signals import INPUT, INPUT_SQUARE, OUTPUT, WEIGHT, GroupTensors
from prunus.signals.tensors import MemberTensors


@final
@dataclass(frozen=True, kw_only=True)
class RIA(Criterion):
    """Relative importance of a weight times a power of the size of its input.

    score[u] = sum of (|w| / sum of |w| with the same input + |w| / sum of |w| of the same output)
    * (mean of x ** 2) ** (a / 2), over the weights that read unit u, or that it is; x what the
    weight is multiplied with, as in `Wanda`. A row or column whose weights are all small is not
    lost as a whole, so that no channel is cut off.

    Args:
        a: Power of the input's size; 0 leaves the data out.

    Reads: `weight_UF`, `input_square_UF`, `input_UF` and `output_UF`, (U, F).

    Returns: float32, (U,), >= 0, in units of an input to the power a. They compare within a layer,
        so that the allocation is "uniform" where none is named.

    Cost: One forward pass over the data; no labels. 8 bytes per input of each layer; about 50
        bytes per weight of the largest group while it is scored.

    Source: Zhang et al., "Plug-and-Play: An Efficient Post-training Pruning Method for Large
        Language Models", ICLR 2024 (openreview.net/forum?id=Tr0lPx9woF). Differs: the mean of
        squares, not their sum, which multiplies a layer's scores by one number; convolutions,
        where an input is a channel at a kernel position; sums are over the weights of the group,
        which is the whole layer but where channels are put next to each other.

    Raises:
        CriterionError: `a` is negative.

    Example:
        >>> from prunus.criteria import RIA
        >>> from prunus.signals import INPUT, INPUT_SQUARE, OUTPUT, WEIGHT, group_of
        >>> fc = group_of("fc.weight", {
        ...     WEIGHT: torch.tensor([[3.0], [1.0], [-1.0], [0.0]]),
        ...     INPUT_SQUARE: torch.tensor([[1.0], [16.0], [1.0], [16.0]]),
        ...     INPUT: torch.tensor([[0.0], [1.0], [0.0], [1.0]]),
        ...     OUTPUT: torch.tensor([[0.0], [0.0], [1.0], [1.0]]),
        ... }, granularity="weight")
        >>> RIA()(fc)
        tensor([1.5000, 2.5000, 1.2500, 0.0000])
    """

    a: float = 0.5

    needs = frozenset({WEIGHT, INPUT_SQUARE, INPUT, OUTPUT})
    by_layer = True

    def __post_init__(self) -> None:
        if not self.a >= 0:
            raise CriterionError(f"RIA(a={self.a}) favours small inputs", hint="use a=0.5")

    def score(self, group: GroupTensors) -> Tensor:
        readers = [member for member in group.members if member.reads] or group.members
        return torch.stack([self._of(member) for member in readers]).sum(dim=0)

    def _of(self, member: MemberTensors) -> Tensor:
        size_UF = member.weight_UF.abs()
        relative_UF = _share(size_UF, member.input_UF) + _share(size_UF, member.output_UF)
        power_UF: Tensor = member.input_square_UF.pow(self.a / 2)
        return (relative_UF * power_UF).sum(dim=1)


def _share(size_UF: Tensor, number_UF: Tensor) -> Tensor:
    """Return each weight's share of the sum of all with the same number; 0 of nothing."""
    number_UF = (number_UF - number_UF.min()).long()
    sum_K = size_UF.new_zeros(int(number_UF.max()) + 1, dtype=torch.float64)
    sum_K.index_add_(0, number_UF.flatten(), size_UF.flatten().double())
    return size_UF / sum_K.float().clamp(min=torch.finfo(torch.float32).tiny)[number_UF]
