"""L0 by hard-concrete gates: the loss and the number of open gates decide together who goes."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from prunus.errors import TrainError
from prunus.records import Groups
from prunus.train.penalties.base import Owned, Parts, Penalty, owned_by

TEMPERATURE = 2 / 3  # beta of the paper
LOW, HIGH = -0.1, 1.1  # gamma and zeta: what the gate is stretched to before it is clipped


@dataclass(frozen=True, kw_only=True)
class HardConcrete(Penalty):
    """The expected number of open gates: the sum of sigmoid(l - beta log(-gamma / zeta)).

    The gate z = clip(sigmoid(l) (zeta - gamma) + gamma, 0, 1), with beta = 2/3, gamma = -0.1 and
    zeta = 1.1, multiplies all that its unit owns; l is its logit. Each step takes l down the slope
    of loss + strength * size, and multiplies the weights by how much the gate moved: z is in the
    weights at all times, so that nothing is left to be folded in. A gate of 0 stays closed.

    The slope of the loss is read from the gradients of the weights, as dL/dz = sum of w dL/dw / z:
    take the step after that of the optimizer, and before gradients are cleared. It keeps the
    logits in what `owned` returns, so `apply` cannot be used.

    Data: none beyond those of the training.

    Cost: two passes over the weights and gradients; one logit a unit, at weight level one more
    number a weight.

    Source: Louizos et al. 2018, arXiv:1712.01312. Differs: gates are not drawn at random but have
    the value that the paper tests with, its equation 13, throughout: a penalty acts between
    steps, not inside forward. So there is no noise, and no gate that has closed opens again. All
    that a unit owns has the gate, not its output. In Gale et al. 2019, arXiv:1902.09574, the
    method kept no ResNet-50 accurate, at any setting.

    Attributes:
        start: The logit that gates start with; the weights are as they were there.

    Example:
        >>> from prunus.train.penalties import Owned
        >>> part = Owned(nn.Parameter(torch.tensor([3.0, 2.0])), logit_U=torch.zeros(2))
        >>> penalty = HardConcrete(strength=1.0)
        >>> round(penalty.size((part,)).item(), 3)  # sigmoid(2/3 log 11) each
        1.664
        >>> penalty.step({"group": (part,)}, lr=2.0, emphasis={"group": torch.tensor([0.0, 9.0])})
        >>> part.weight.tolist()
        [3.0, 0.0]
    """

    start: float = 2.0
    proximal = False
    remembers = True

    _SHIFT: ClassVar[float] = TEMPERATURE * math.log(-LOW / HIGH)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < _gate(torch.tensor(self.start)) < 1:
            raise TrainError(
                f"HardConcrete(start={self.start}) cannot be used",
                why="a gate learns only where it is neither closed nor open all the way",
                hint="start is between -2.39 and 2.39",
            )

    def owned(self, model: nn.Module, groups: Groups) -> dict[str, Parts]:
        """Return, per group that may be pruned, what its units own, with a gate for each unit."""
        gated = {}
        for name, parts in owned_by(groups, model).items():
            logit_U = torch.full((groups[name].size,), self.start, device=parts[0].weight.device)
            gated[name] = tuple(Owned(p.weight, p.along, p.scales, logit_U) for p in parts)
        return gated

    def size(self, parts: Parts) -> Tensor:
        """Return the expected number of open gates."""
        return self._open(_logits(parts)).sum()

    def listen(self, parts: Parts, lr: float) -> None:
        """Take the logits down the slope of the loss, as the gradients of the weights have it."""
        logit_U = _logits(parts)
        gate_U = _gate(logit_U)
        slope_U = torch.zeros_like(logit_U)
        for part in parts:
            if part.weight.grad is not None:
                slope_U += part.sum_of(part.weight.float() * part.weight.grad.float())
        soft_U = torch.sigmoid(logit_U)
        learns_U = (gate_U > 0) & (gate_U < 1)
        steep_U = (HIGH - LOW) * soft_U * (1 - soft_U) / gate_U
        self._move(parts, torch.where(learns_U, -lr * slope_U * steep_U, 0.0))

    def shrink(self, parts: Parts, amount: Tensor | float) -> None:
        """Take the logits down the slope of the expected number."""
        open_U = self._open(_logits(parts))
        self._move(parts, -amount * open_U * (1 - open_U))

    def _open(self, logit_U: Tensor) -> Tensor:
        """Return how probable it is that a gate is not closed, by the paper's distribution."""
        return torch.sigmoid(logit_U - self._SHIFT)

    def _move(self, parts: Parts, by_U: Tensor) -> None:
        """Move the logits, and the weights as far as the gates moved."""
        logit_U = _logits(parts)
        before_U = _gate(logit_U)
        logit_U += by_U
        tiny = torch.finfo(torch.float32).tiny
        factor_U = torch.where(before_U > 0, _gate(logit_U) / before_U.clamp(min=tiny), 0.0)
        for part in parts:
            part.scale(factor_U)


def _logits(parts: Parts) -> Tensor:
    logit_U = parts[0].logit_U
    if logit_U is None:
        raise TrainError(
            "these units have no gates",
            hint="penalty.owned(model, groups) of HardConcrete gives them some",
        )
    return logit_U


def _gate(logit_U: Tensor) -> Tensor:
    return (torch.sigmoid(logit_U) * (HIGH - LOW) + LOW).clamp(0, 1)
