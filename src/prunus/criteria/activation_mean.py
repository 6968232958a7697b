"""Activation mean: a unit that hardly speaks can go."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.signals import ACTIVATION_MEAN, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class ActivationMean(Criterion):
    """Mean absolute activation of a unit.

    score[u] = mean of |a[u]| over all items, pixels and tokens; a[u] is what the weights that read
    the unit are multiplied with, after norms and activation functions. Averaged over the weights
    that read it and the positions that it owns in each. Where no weight reads it, a[u] is what the
    weights that make it leave, with the functions that follow at once.

    Reads: `magnitude_U`, (U,).

    Returns: float32, (U,), >= 0, in units of the activation. It says nothing of what the next
        layer does with it: compare within a group.

    Cost: One forward pass over the data; no labels. 32 bytes per unit, and a batch's largest
        activation in float64. Not for single weights.

    Source: Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient
        Inference", ICLR 2017, arXiv:1611.06440, section 2.2 ("mean activation"). Differs: the
        absolute value, so that functions with negative values, such as GELU, can be used.

    Example:
        >>> from prunus.criteria import ActivationMean
        >>> from prunus.signals import ACTIVATION_MEAN, group_of
        >>> ActivationMean()(group_of("fc", {ACTIVATION_MEAN: torch.tensor([0.5, 0.0])}))
        tensor([0.5000, 0.0000])
    """

    needs = frozenset({ACTIVATION_MEAN})
    elementwise = True

    def score(self, group: GroupTensors) -> Tensor:
        return group.magnitude_U.clone()
