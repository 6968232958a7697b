"""Greedy loss: the block whose absence costs least goes first, and then the next."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.signals import ORDER, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class GreedyLoss(Criterion):
    """When a residual block is taken out, if always the one goes that the loss misses least.

    score[u] = number of blocks that went before block u. For `granularity="layer"`.

    Reads: `order_U`, (U,).

    Returns: float32, (U,), whole numbers from 0; blocks of all stacks compare.

    Cost: n (n + 1) / 2 passes over the data for n blocks in all: 78 for 12. Take few batches.

    Source: Song et al., "SLEB: Streamlining LLMs through Redundancy Verification and Elimination
        of Transformer Blocks", ICML 2024, arXiv:2402.09025. Differs: any loss, not perplexity
        alone.

    Example:
        >>> from prunus.criteria import GreedyLoss
        >>> from prunus.signals import ORDER, group_of
        >>> GreedyLoss()(group_of("layers", {ORDER: torch.tensor([1.0, 0.0])}))
        tensor([1., 0.])
    """

    needs = frozenset({ORDER})
    elementwise = True

    def score(self, group: GroupTensors) -> Tensor:
        return group.order_U.clone()
