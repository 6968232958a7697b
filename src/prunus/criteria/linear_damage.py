"""Linear damage: an activation function that might as well be a straight line can go."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.signals import LINE_CHANGE, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class LinearDamage(Criterion):
    """How much the outputs change when an activation function becomes the line that fits it best.

    score[u] = sum (outputs with u as a line - outputs)**2 / sum outputs**2, over the data; the
    line is the least-squares one per channel. For `granularity="activation"`, and for single
    channels of functions at "activation_channel". There the change is estimated, to first order
    in that of the channel: with random signs s on the outputs, its mean square is that of

        (gradient of sum(s * outputs)) * (line - function), summed over the positions of an item

    Reads: `line_change_U`, (U,).

    Returns: float32, (U,), at least 0, without unit; all functions of a model compare.

    Cost: n + 2 forward passes over the data for n functions; two forward and one backward for
        all channels together. No labels. A few batches do.

    Source: own. Dror et al., "Layer Folding", 2021, arXiv:2106.09309, learn which functions can
        become linear; here they are ranked by what that does, with nothing trained. Cho et al.,
        "Selective Network Linearization", 2022, arXiv:2202.02340, learn it of channels.

    Example:
        >>> from prunus.criteria import LinearDamage
        >>> from prunus.signals import LINE_CHANGE, group_of
        >>> LinearDamage()(group_of("act", {LINE_CHANGE: torch.tensor([0.25])}))
        tensor([0.2500])
    """

    needs = frozenset({LINE_CHANGE})
    elementwise = True

    def score(self, group: GroupTensors) -> Tensor:
        return group.line_change_U.clone()
