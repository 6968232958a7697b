"""Normalized: scores of another criterion, made comparable between groups."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, final

import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.criteria.magnitude import Magnitude
from prunus.errors import CriterionError, unknown_name
from prunus.signals import GroupTensors, Signal


@final
@dataclass(frozen=True, kw_only=True)
class Normalized(Criterion):
    """Scores of another criterion over the mean, sum, norm or largest of their group.

    score[u] = s[u] / size, s the scores of `of` and size that of |s| over the group. The order
    within a group stays; how much a global ranking takes from each group changes. With "mean" the
    typical unit of every group scores 1; with "max" the best does, so that no group goes as a
    whole; with "sum" the units of large groups score low.

    Args:
        of: The criterion whose scores are divided.
        by: "mean", "max", "sum" or "norm" (the root of the sum of squares).

    Reads: What `of` reads.

    Returns: float32, (U,), without unit; 0 where the whole group scores 0.

    Cost: That of `of`, and 12 bytes per unit of the largest group, also where every weight is a
        unit.

    Source: Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient
        Inference", ICLR 2017, arXiv:1611.06440, section 2.2 ("norm"); "mean" is common.

    Raises:
        CriterionError: There is no such `by`.

    Example:
        >>> from prunus.criteria import Magnitude, Normalized
        >>> from prunus.signals import WEIGHT, group_of
        >>> fc = group_of("fc", {WEIGHT: torch.tensor([[1.0], [-2.0], [3.0]])})
        >>> Normalized()(fc), Normalized(of=Magnitude(p=1), by="max")(fc)
        (tensor([0.5000, 1.0000, 1.5000]), tensor([0.3333, 0.6667, 1.0000]))
    """

    of: Criterion = field(default_factory=Magnitude)
    by: Literal["mean", "max", "sum", "norm"] = "mean"

    def __post_init__(self) -> None:
        if self.by not in _SIZES:
            raise unknown_name("size to divide by", self.by, _SIZES, CriterionError)

    @property
    def needs(self) -> frozenset[Signal]:
        return self.of.needs

    def score(self, group: GroupTensors) -> Tensor:
        score_U = self.of(group).double()
        size = _SIZES[self.by](score_U.abs())
        return score_U / size.clamp(min=torch.finfo(torch.float64).tiny)


_SIZES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "mean": torch.mean,
    "max": torch.max,
    "sum": torch.sum,
    "norm": torch.linalg.vector_norm,
}
