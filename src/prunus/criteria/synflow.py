"""SynFlow: keep what holds the network together, found without any data."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.errors import CriterionError
from prunus.signals import GroupTensors, Signal, synaptic_flow


@final
@dataclass(frozen=True, kw_only=True)
class Synflow(Criterion):
    """Share of the synaptic flow that passes a unit, found by taking the least away in rounds.

    The flow is the sum of the outputs at an input of ones with |w| for every weight w; a weight's
    share is |w| * d flow / d|w|, over the flow. Shares of a layer add up to 1, so that those of a
    layer with few units left are large, and no layer goes before all others are down to one unit.
    That holds only where shares are found anew after a few units went: with `rounds=1`, a layer
    can be emptied. Where rounds are few, an error may say that nothing flows any more.

    All rounds are made when scores are collected, over the groups that may lose units, down to one
    unit per group; units then rank in the order in which they went. So any budget is met by
    the ranking of one run, and no schedule is needed. Made for a global allocation.

    Args:
        rounds: How often shares are found anew.

    Reads: `flow_U`, (U,).

    Returns: float32, (U,), in [0, 1] for single weights: the share of a unit when its turn comes.
        Made to be compared between groups.

    Cost: Per round a forward and backward pass of the example inputs in float64, so `rounds`
        decides; no data. 16 bytes per parameter and 13 per scored weight.

    Source: Tanaka et al., "Pruning neural networks without any data by iteratively conserving
        synaptic flow", NeurIPS 2020, arXiv:2006.05467. Differs: each round takes the same fraction
        of what is left, down to one unit per group whatever the budget; the paper's rounds end at
        the budget. Batch norms keep their scale and variance and lose their mean; other norms only
        scale. A channel's share is that of the weights that read it.

    Raises:
        CriterionError: There is no round.

    Example:
        >>> from prunus.criteria import Synflow
        >>> from prunus.signals import group_of, synaptic_flow
        >>> Synflow()(group_of("fc", {synaptic_flow(rounds=100): torch.tensor([0.75, 0.25])}))
        tensor([0.7500, 0.2500])
    """

    rounds: int = 100

    elementwise = True

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise CriterionError(f"{self!r} scores nothing", hint="use rounds=100, or 1 for once")

    @property
    def needs(self) -> frozenset[Signal]:
        return frozenset({synaptic_flow(rounds=self.rounds)})

    def score(self, group: GroupTensors) -> Tensor:
        return group.flow_U.clone()
