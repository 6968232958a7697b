"""Block influence: a block that hardly turns what passes through it can go."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.signals import INFLUENCE, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class BlockInfluence(Criterion):
    """How much a residual block turns what passes through it.

    score[u] = mean over tokens, or over positions of an image, of 1 - cos(what block u is given,
    what it returns). For `granularity="layer"`.

    Reads: `influence_U`, (U,).

    Returns: float32, (U,), in [0, 2], without unit; blocks of all stacks compare.

    Cost: One forward pass over the data; no labels. A few batches do.

    Source: Men et al., "ShortGPT: Layers in Large Language Models are More Redundant Than You
        Expect", 2024, arXiv:2403.03853. Differs: images too, their channels being the vector.

    Example:
        >>> from prunus.criteria import BlockInfluence
        >>> from prunus.signals import INFLUENCE, group_of
        >>> BlockInfluence()(group_of("layers", {INFLUENCE: torch.tensor([0.5, 0.125])}))
        tensor([0.5000, 0.1250])
    """

    needs = frozenset({INFLUENCE})
    elementwise = True

    def score(self, group: GroupTensors) -> Tensor:
        return group.influence_U.clone()
