"""Shuffled: a control that keeps how much goes in each group, and leaves to chance what."""

from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.criteria.magnitude import Magnitude
from prunus.errors import CriterionError
from prunus.signals import GroupTensors, Signal


@final
@dataclass(frozen=True, kw_only=True)
class Shuffled(Criterion):
    """Scores of another criterion, shuffled among the units of each group.

    Every group keeps its scores, so that it loses as many units as with the criterion itself; but
    which of them is left to chance. A criterion that does not beat it has chosen how much to cut
    in each layer, and nothing more. The order depends on the seed and the group's name alone.

    Args:
        of: The criterion whose scores are shuffled.
        seed: 0 or more; another seed gives another order.

    Reads: What `of` reads.

    Returns: float32, (U,): the scores of `of` in another order.

    Cost: That of `of`, and 12 bytes per unit of the largest group.

    Source: Frankle et al., "Pruning Neural Networks at Initialization: Why are We Missing the
        Mark?", ICLR 2021, arXiv:2009.08576, section 5. Differs: the scores are shuffled, not the
        mask, which comes to the same.

    Raises:
        CriterionError: The seed is negative.

    Example:
        >>> from prunus.criteria import Shuffled, Taylor
        >>> from prunus.signals import WEIGHT, group_of
        >>> fc = group_of("fc", {WEIGHT: torch.tensor([[1.0], [2.0], [3.0]])})
        >>> Shuffled(seed=1)(fc).sort().values
        tensor([1., 2., 3.])
        >>> Shuffled(of=Taylor()).needs == Taylor().needs
        True
    """

    of: Criterion = field(default_factory=Magnitude)
    seed: int = 0

    follows_units = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise CriterionError(f"Shuffled(seed={self.seed}) is negative", hint="use 0 or more")

    @property
    def needs(self) -> frozenset[Signal]:
        return self.of.needs

    @property
    def by_layer(self) -> bool:
        return self.of.by_layer

    def score(self, group: GroupTensors) -> Tensor:
        generator = np.random.default_rng([self.seed, *group.name.encode()])
        score_U = self.of(group)
        order_U = torch.from_numpy(generator.permutation(group.num_units))
        return score_U[order_U.to(score_U.device)]
