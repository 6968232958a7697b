"""Movement: weights that training moves towards zero are not needed."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from prunus.criteria.base import Criterion
from prunus.errors import CriterionError
from prunus.signals import GroupTensors, Signal, movement


@final
@dataclass(frozen=True, kw_only=True)
class Movement(Criterion):
    """How far fine-tuning moves the weights of a unit away from zero.

    score[u] = sum over steps of -lr * g * w, over all that unit u owns: half of how much w ** 2
    grows, to first order. Below 0 where weights shrink. Meant for a model that was trained for
    another task than the one whose data are given: there a weight is small or large for reasons
    of the old task, and its movement tells what the new one wants. A copy of the model is
    fine-tuned to score; the model itself is left as it is.

    Args:
        lr: Learning rate of the fine-tuning, plain stochastic gradient descent.
        epochs: Passes over the data. The paper's scores are added up over a whole fine-tuning.

    Reads: `movement_UF`, (U, F).

    Returns: float32, (U,), of either sign, in units of weight ** 2.

    Cost: A forward and backward pass over the data per epoch, not shared with other criteria; a
        copy of the model and 4 bytes per weight.

    Source: Sanh et al., "Movement Pruning: Adaptive Sparsity by Fine-Tuning", NeurIPS 2020,
        arXiv:2005.07683. Differs: weights are scored first and pruned then, so the fine-tuning
        sees the dense network; the paper prunes in the forward pass of every step, with
        straight-through gradients, so that weights may come back. The optimizer is not Adam.

    Raises:
        CriterionError: lr is not above 0, or there is no epoch.

    Example:
        >>> from prunus.criteria import Movement
        >>> from prunus.signals import group_of, movement
        >>> m = movement(lr=0.01, epochs=1)
        >>> Movement()(group_of("fc", {m: torch.tensor([[0.5, 0.25], [0.5, -1.0]])}))
        tensor([ 0.7500, -0.5000])
    """

    lr: float = 0.01
    epochs: int = 1

    elementwise = True

    def __post_init__(self) -> None:
        if not 0 < self.lr < float("inf") or self.epochs < 1:
            raise CriterionError(
                f"{self!r} cannot be used", hint="lr is above 0, epochs is 1 or more"
            )

    @property
    def needs(self) -> frozenset[Signal]:
        return frozenset({movement(lr=self.lr, epochs=self.epochs)})

    def score(self, group: GroupTensors) -> Tensor:
        per_member_U = [member.movement_UF.sum(dim=1) for member in group.members]
        return torch.stack(per_member_U).sum(dim=0)
