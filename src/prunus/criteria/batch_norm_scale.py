"""Batch-norm scale: what is multiplied with little adds little."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.signals import NORM_SCALE, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class BatchNormScale(Criterion):
    """Mean |gamma| of a unit, gamma the scales of the batch norms that it passes.

    score[u] = mean of |gamma[u]| over the batch norms of the group: one after a plain convolution,
    several where layers are added up. As a batch norm gives each channel variance 1 first, gamma
    is the standard deviation of what follows. Meant for networks trained with the L1 norm of
    gamma as a penalty: without it scales are much alike.

    Every group that may lose units must pass a batch norm with a scale; where one does not, the
    error names it. Layer norms do not count: they normalise over the units.

    Reads: `norm_scale_U`, (U,).

    Returns: float32, (U,), >= 0, without unit. Comparable between groups as far as the weights
        that read the units are.

    Cost: One read of the scales; no data.

    Source: Liu et al., "Learning Efficient Convolutional Networks through Network Slimming",
        ICCV 2017, arXiv:1708.06519. Differs: channels that are added up have one score, the mean;
        the paper selects them by a layer of their own.

    Example:
        >>> from prunus.criteria import BatchNormScale
        >>> from prunus.signals import NORM_SCALE, group_of
        >>> BatchNormScale()(group_of("conv", {NORM_SCALE: torch.tensor([0.5, 0.0])}))
        tensor([0.5000, 0.0000])
    """

    needs = frozenset({NORM_SCALE})
    elementwise = True

    def score(self, group: GroupTensors) -> Tensor:
        return group.norm_scale_U.clone()
