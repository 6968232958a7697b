"""Wanda: a small weight on a large input is no small weight."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.signals import INPUT_SQUARE, OUTPUT, WEIGHT, GroupTensors, Signal


@final
@dataclass(frozen=True, kw_only=True)
class Wanda(Criterion):
    """Size of a weight times that of its input, among the weights of the same output.

    m = |w| * sqrt(mean of x ** 2), x what the weight is multiplied with: an input of a linear
    layer, a channel at a kernel position of a convolution. Where every weight is a unit,
    score[u] is the share of the weights of the same output (row of the matrix, filter) that have
    no larger m: with allocation="uniform", which it is where none is named, every output loses the
    same share of its weights, as in the paper. For channels, score[u] is the sum of m over the
    weights that read the unit (also known as Wanda-sp); where none reads it, over all that it owns.

    Args:
        rows: Compare the weights of an output with each other (True), or let score[u] be m itself
            (False), for blocks of weights, and for rankings over whole layers.

    Reads: `weight_UF`, `input_square_UF` and, where `rows`, `output_UF`, (U, F).

    Returns: float32, (U,): in (0, 1] without unit for single weights compared in rows, else >= 0
        in units of the output, to be compared within a group.

    Cost: One forward pass over the data; no labels. 8 bytes per input of each layer; about 24
        bytes per weight of the largest layer while it is ranked.

    Source: Sun et al., "A Simple and Effective Pruning Approach for Large Language Models", ICLR
        2024, arXiv:2306.11695. Differs: the mean of squares, not their sum, so that the amount
        of data changes no score; sums in float64; convolutions, grouped ones too; all layers
        see the inputs of the dense model, where the original prunes a block before it collects
        those of the next.

    Example:
        >>> from prunus.criteria import Wanda
        >>> from prunus.signals import INPUT_SQUARE, OUTPUT, WEIGHT, group_of
        >>> fc = group_of("fc.weight", {
        ...     WEIGHT: torch.tensor([[3.0], [-1.0], [0.2], [0.1]]),
        ...     INPUT_SQUARE: torch.tensor([[1.0], [16.0], [1.0], [16.0]]),
        ...     OUTPUT: torch.tensor([[0.0], [0.0], [1.0], [1.0]]),
        ... }, granularity="weight")
        >>> Wanda()(fc), Wanda(rows=False)(fc)
        (tensor([0.5000, 1.0000, 0.5000, 1.0000]), tensor([3.0000, 4.0000, 0.2000, 0.4000]))
    """

    rows: bool = True

    by_layer = True

    @property
    def needs(self) -> frozenset[Signal]:
        return frozenset({WEIGHT, INPUT_SQUARE, *([OUTPUT] if self.rows else [])})

    def score(self, group: GroupTensors) -> Tensor:
        readers = [member for member in group.members if member.reads] or group.members
        per_member_U = [(m.weight_UF.abs() * m.input_square_UF.sqrt()).sum(dim=1) for m in readers]
        value_U = torch.stack(per_member_U).sum(dim=0)
        if group.granularity != "weight" or not self.rows:
            return value_U
        return _place_in_row(value_U, group.members[0].output_UF.squeeze(1))


def _place_in_row(value_U: Tensor, row_U: Tensor) -> Tensor:
    """Return the share of the row that is no larger; of equal ones, the first is the smallest."""
    if bool((row_U[1:] < row_U[:-1]).any()):  # outputs do not lie one after another
        order_U = row_U.argsort(stable=True)
        share_U = torch.empty_like(value_U)
        share_U[order_U] = _place_in_row(value_U[order_U], row_U[order_U])
        return share_U
    sizes = torch.unique_consecutive(row_U, return_counts=True)[1].tolist()
    return torch.cat([_share(row_N) for row_N in torch.split(value_U, sizes)])


def _share(row_N: Tensor) -> Tensor:
    share_N = torch.empty_like(row_N)
    places_N = torch.arange(1, len(row_N) + 1, device=row_N.device, dtype=row_N.dtype)
    share_N[row_N.argsort(stable=True)] = places_N / len(row_N)
    return share_N
