"""Slimming: the scales of batch norms go to zero, and with them the channels that they scale."""

from dataclasses import dataclass

from torch import Tensor, nn

from prunus.errors import TrainError
from prunus.records import Groups
from prunus.train.penalties.base import Parts, Penalty, owned_by, sum_over

_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Slimming(Penalty):
    """The sum of |gamma|, the scales of batch norms; its step is g -> sign(g) max(|g| - a, 0).

    `a` is learning rate times strength. Few numbers decide, so the step costs next to nothing.
    Choose the units by the same number: criterion="batch_norm_scale". A channel whose
    scale is zero still passes on a constant, what the activation makes of its beta; the cut takes
    that away. So compensate the biases behind it, or measure the batch norms behind it anew.

    Every group that may lose units must pass a batch norm with a trained scale; where one does
    not, the error names it. Single weights have no scales.

    Data: none beyond those of the training.

    Cost: one pass over the scales.

    Source: Liu et al. 2017, network slimming, arXiv:1708.06519. Differs: a proximal step, which
    reaches zero, instead of the subgradient; channels that are added up go together.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
        >>> groups = prunus.explain(model, torch.randn(2, 4)).groups
        >>> penalty = Slimming(strength=0.5)
        >>> penalty.value(model, groups)
        4.0
        >>> penalty.apply(model, groups, lr=0.5)
        >>> model[1].weight.tolist()
        [0.75, 0.75, 0.75, 0.75, 0.75, 0.75, 0.75, 0.75]
    """

    def owned(self, model: nn.Module, groups: Groups) -> dict[str, Parts]:
        """Return, per group that may be pruned, the scales of its batch norms.

        Raises:
            TrainError: A group has none.
        """
        owned = owned_by(groups, model)
        scales = {name: tuple(p for p in parts if p.scales) for name, parts in owned.items()}
        without = [name for name, parts in scales.items() if not parts]
        if without:
            listed = ", ".join(f"'{name}'" for name in without[:_SHOWN])
            more = f" and {len(without) - _SHOWN} more" if len(without) > _SHOWN else ""
            raise TrainError(
                f"{len(without)} of {len(scales)} groups have no batch norm whose scale is "
                f"trained: {listed}{more}",
                why="slimming acts on the scales of batch norms alone, so their units would stay",
                hint="exclude their layers, or use GroupLasso(); of single weights, L1()",
            )
        return scales

    def size(self, parts: Parts) -> Tensor:
        """Return the sum of |gamma|."""
        return sum_over(parts, Tensor.abs).sum()

    def shrink(self, parts: Parts, amount: Tensor | float) -> None:
        """Soft-threshold every scale."""
        for part in parts:
            part.soft_threshold(amount)
