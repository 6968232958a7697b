"""Activation variance: a unit that always says the same can go."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.signals import ACTIVATION_VARIANCE, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class ActivationVariance(Criterion):
    """Variance of the activation of a unit over the data.

    score[u] = mean of a[u] ** 2 minus the square of the mean of a[u], over all items, pixels and
    tokens; a[u] as in `ActivationMean`. A unit of small variance is nearly a constant: what is
    lost with it is made up for by a bias. Without one, prefer `ActivationMean`.

    Reads: `variance_U`, (U,).

    Returns: float32, (U,), >= 0, in units of the activation squared. Compare within a group.

    Cost: One forward pass over the data; no labels. 32 bytes per unit, and a batch's largest
        activation in float64. Not for single weights.

    Source: Polyak and Wolf, "Channel-Level Acceleration of Deep Face Representations", IEEE Access
        2015, doi:10.1109/ACCESS.2015.2494536; "Variance-Based Pruning for Accelerating and
        Compressing Trained Networks", ICCV 2025, arXiv:2507.12988. Differs: the score alone; the
        mean is not moved into the next bias here.

    Example:
        >>> from prunus.criteria import ActivationVariance
        >>> from prunus.signals import ACTIVATION_VARIANCE, group_of
        >>> ActivationVariance()(group_of("fc", {ACTIVATION_VARIANCE: torch.tensor([0.5, 0.0])}))
        tensor([0.5000, 0.0000])
    """

    needs = frozenset({ACTIVATION_VARIANCE})
    elementwise = True

    def score(self, group: GroupTensors) -> Tensor:
        return group.variance_U.clone()
