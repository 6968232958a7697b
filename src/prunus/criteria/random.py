"""Random: what any other criterion has to beat."""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.errors import CriterionError
from prunus.signals import GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class Random(Criterion):
    """Uniform random numbers: the baseline without which no other score means anything.

    score[u] depends on the seed, the name of the group and u alone: not on which other groups
    are scored, nor on the global random generators.

    Args:
        seed: 0 or more; another seed gives other scores.

    Reads: Nothing.

    Returns: float32, (U,), in [0, 1].

    Cost: One random number per unit; no data.

    Source: A control, as used by Blalock et al., "What is the State of Neural Network Pruning?",
        MLSys 2020, arXiv:2003.03033.

    Example:
        >>> from prunus.criteria import Random
        >>> from prunus.signals import WEIGHT, group_of
        >>> fc = group_of("fc", {WEIGHT: torch.zeros(3, 2)})
        >>> torch.equal(Random(seed=1)(fc), Random(seed=1)(fc))
        True
        >>> torch.equal(Random(seed=1)(fc), Random(seed=2)(fc))
        False
    """

    seed: int = 0

    needs = frozenset()
    elementwise = True
    follows_units = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise CriterionError(f"Random(seed={self.seed}) is negative", hint="use 0 or more")

    def score(self, group: GroupTensors) -> Tensor:
        bits = np.random.PCG64([self.seed, *group.name.encode()])
        bits.advance(group.start)  # one draw a unit, so that a group in pieces scores like a whole
        return torch.from_numpy(np.random.Generator(bits).random(group.num_units)).float()
