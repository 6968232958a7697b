"""Magnitude: small weights matter little. Legend: M members of a group."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.errors import CriterionError, unknown_name
from prunus.signals import WEIGHT, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class Magnitude(Criterion):
    """Lp norm of all weights that a unit owns.

    score[u] = (sum of |w| ** p over all that unit u owns) ** (1 / p); for single weights |w|.
    Other reductions take the norm of what u owns in each parameter first, and then the mean or
    the largest of these, or only that of the parameter that produces u. `Normalized` makes the
    scores of groups comparable.

    Args:
        p: Which norm: 2, 1, any other positive number, or inf for the largest |w|.
        reduction: "norm" over all parameters together; "mean", "max" or "first" of one norm per
            parameter.

    Reads: `weight_UF`, (U, F).

    Returns: float32, (U,), >= 0, in units of a weight. It grows with the number of weights that a
        unit owns, and rescaling layers without changing the network changes it: compare within a
        group, or normalise before comparing groups.

    Cost: One read of the weights; no data.

    Source: Han et al., "Learning both Weights and Connections for Efficient Neural Networks",
        NeurIPS 2015, arXiv:1506.02626 (single weights); Li et al., "Pruning Filters for Efficient
        ConvNets", ICLR 2017, arXiv:1608.08710 (filters, p = 1, "first"); Fang et al., "DepGraph:
        Towards Any Structural Pruning", CVPR 2023, arXiv:2301.12900 (all that is coupled).

    Raises:
        CriterionError: p is not above 0, or there is no such reduction.

    Example:
        >>> from prunus.criteria import Magnitude
        >>> from prunus.signals import WEIGHT, group_of
        >>> fc = group_of("fc", {WEIGHT: torch.tensor([[3.0, -4.0]])})
        >>> Magnitude()(fc), Magnitude(p=1)(fc), Magnitude(p=float("inf"))(fc)
        (tensor([5.]), tensor([7.]), tensor([4.]))
        >>> fc = group_of("fc", {WEIGHT: [torch.tensor([[3.0, -4.0]]), torch.tensor([[12.0]])]})
        >>> Magnitude()(fc), Magnitude(reduction="mean")(fc), Magnitude(reduction="first")(fc)
        (tensor([13.]), tensor([8.5000]), tensor([5.]))
    """

    p: float = 2
    reduction: Literal["norm", "mean", "max", "first"] = "norm"

    needs = frozenset({WEIGHT})
    elementwise = True

    def __post_init__(self) -> None:
        if not self.p > 0:
            raise CriterionError(f"Magnitude(p={self.p}) is no norm", hint="use p=1, p=2 or p=inf")
        if self.reduction not in (known := ("norm", *_REDUCTIONS)):
            raise unknown_name("reduction", self.reduction, known, CriterionError)

    def __repr__(self) -> str:
        """Leave the usual reduction out: plans and studies know the criterion by this text."""
        reduction = "" if self.reduction == "norm" else f", reduction={self.reduction!r}"
        return f"Magnitude(p={self.p}{reduction})"

    def score(self, group: GroupTensors) -> Tensor:
        norm_MU = torch.stack([member.norm_U("weight_UF", self.p) for member in group.members])
        if self.reduction == "norm":
            score_U: Tensor = torch.linalg.vector_norm(norm_MU, ord=self.p, dim=0)
            return score_U
        return _REDUCTIONS[self.reduction](norm_MU)


_REDUCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda norm_MU: norm_MU.mean(dim=0),
    "max": lambda norm_MU: norm_MU.amax(dim=0),
    "first": lambda norm_MU: norm_MU[0].clone(),
}
