"""Hessian: how much the loss curves where a weight would go."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.errors import CriterionError
from prunus.signals import WEIGHT, GroupTensors, Signal, hessian_diagonal


@final
@dataclass(frozen=True, kw_only=True)
class Hessian(Criterion):
    """Second-order change of the loss when a unit is zeroed, with the diagonal of the Hessian.

    score[u] = 1/2 * sum of w ** 2 * |h| over all that unit u owns, h the diagonal of the Hessian
    of the mean loss over the data. It takes the network for trained: the first-order change, see
    `Taylor`, is left out. The diagonal is estimated (see `probes`), and what is below 0 in it is
    mostly noise: with its sign, the weights of largest error would go first.

    Args:
        signed: Take h with its sign, as the formula has it: of use where probes are many.
        probes: Random vectors per batch; the error falls with the root of probes * batches.
        seed: Of the random vectors, 0 or more.

    Reads: `weight_UF` and `hessian_UF`, (U, F).

    Returns: float32, (U,), in units of loss; >= 0 unless `signed`.

    Cost: One forward and backward pass over the data, and per probe another backward pass of
        twice the time and memory. 4 bytes per weight, and three gradients for a while.

    Source: LeCun et al., "Optimal Brain Damage", NeurIPS 1990. Differs: the paper has a recursion
        for h that leaves out the second derivative of the activations; here h is the true diagonal,
        estimated by Hutchinson's method, as in Yao et al., "ADAHESSIAN", AAAI 2021,
        arXiv:2006.00719, which has a remedy for its sign as well. Channels sum what their weights
        score.

    Raises:
        CriterionError: There is no probe, or the seed is negative.

    Example:
        >>> from prunus.criteria import Hessian
        >>> from prunus.signals import WEIGHT, group_of, hessian_diagonal
        >>> w, h = torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([[2.0, -1.0], [2.0, 5.0]])
        >>> fc = group_of("fc", {WEIGHT: w, hessian_diagonal(probes=1, seed=0): h})
        >>> Hessian()(fc), Hessian(signed=True)(fc)
        (tensor([3., 9.]), tensor([-1.,  9.]))
    """

    signed: bool = False
    probes: int = 1
    seed: int = 0

    elementwise = True

    def __post_init__(self) -> None:
        if self.probes < 1 or self.seed < 0:
            raise CriterionError(
                f"{self!r} cannot be used", hint="probes is 1 or more, seed 0 or more"
            )

    @property
    def needs(self) -> frozenset[Signal]:
        return frozenset({WEIGHT, hessian_diagonal(probes=self.probes, seed=self.seed)})

    def score(self, group: GroupTensors) -> Tensor:
        per_member_U = [
            (member.weight_UF.square() * self._curvature(member.hessian_UF)).sum(dim=1)
            for member in group.members
        ]
        return torch.stack(per_member_U).sum(dim=0) / 2

    def _curvature(self, hessian_UF: Tensor) -> Tensor:
        return hessian_UF if self.signed else hessian_UF.abs()
