"""Linear loss: an activation function that the loss does not miss can become a straight line."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.signals import LINE_LOSS, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class LinearLoss(Criterion):
    """How much the loss rises when an activation function becomes the line that fits it best.

    score[u] = mean over batches of loss with u as a line - loss. For `granularity="activation"`,
    and for single channels of functions at "activation_channel". There it is estimated, to second
    order: with p the gradient of an item's loss times (line - function), it is the mean of
    p + p**2 / 2, where the loss is the mean over items of a negative log-likelihood.

    Reads: `line_loss_U`, (U,).

    Returns: float32, (U,), in units of the loss, below 0 where it falls; all functions compare.

    Cost: n + 2 forward passes over the data for n functions; two forward and one backward for
        all channels together. A few batches do.

    Source: own; see `LinearDamage`.

    Example:
        >>> from prunus.criteria import LinearLoss
        >>> from prunus.signals import LINE_LOSS, group_of
        >>> LinearLoss()(group_of("act", {LINE_LOSS: torch.tensor([-0.125])}))
        tensor([-0.1250])
    """

    needs = frozenset({LINE_LOSS})
    elementwise = True

    def score(self, group: GroupTensors) -> Tensor:
        return group.line_loss_U.clone()
