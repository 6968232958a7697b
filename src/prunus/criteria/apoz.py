"""APoZ: a unit whose activation is mostly zero can go."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.errors import CriterionError
from prunus.signals import ACTIVATION_ZEROS, GroupTensors


@final
@dataclass(frozen=True, kw_only=True)
class APOZ(Criterion):
    """Share of the activations of a unit that are not zero.

    score[u] = 1 - (average percentage of zeros of a[u]) over all items, pixels and tokens; a[u] as
    in `ActivationMean`. It tells units apart only where the activation function makes zeros, as
    ReLU does; GELU, SiLU, tanh and layer norms do not, and every unit would score 1.

    Reads: `zeros_U`, (U,).

    Returns: float32, (U,), in [0, 1], without unit.

    Cost: One forward pass over the data; no labels. 32 bytes per unit, and a batch's largest
        activation in float64. Not for single weights.

    Source: Hu et al., "Network Trimming: A Data-Driven Neuron Pruning Approach towards Efficient
        Deep Architectures", 2016, arXiv:1607.03250. Differs: the zeros are counted where the unit
        is read, so that pooling, which fills them, comes first; and 1 minus their share is taken,
        as larger means keep.

    Raises:
        CriterionError: No unit of a group of several is ever zero.

    Example:
        >>> from prunus.criteria import APOZ
        >>> from prunus.signals import ACTIVATION_ZEROS, group_of
        >>> APOZ()(group_of("fc", {ACTIVATION_ZEROS: torch.tensor([0.75, 0.0])}))
        tensor([0.2500, 1.0000])
    """

    needs = frozenset({ACTIVATION_ZEROS})

    def score(self, group: GroupTensors) -> Tensor:
        zeros_U = group.zeros_U
        if group.num_units > 1 and not bool(torch.any(zeros_U != 0)):
            raise CriterionError(
                f"no activation of '{group.name}' is ever zero, so that APOZ() tells no unit from "
                "another",
                why="it counts the zeros that ReLU makes; most other functions, and norms, make "
                "none",
                hint=f"exclude=['{group.name}'], or criterion='activation_mean'",
            )
        return 1 - zeros_U
