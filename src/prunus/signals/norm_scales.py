"""The scales that batch norms multiply each unit with."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from prunus.errors import CriterionError
from prunus.records import Group
from prunus.signals.signal import Request, Signal, Values
from prunus.signals.tensors import Signals
from prunus.signals.weights import WEIGHT

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def collect_norm_scales(request: Request) -> Values:
    """Return, per group, the mean |scale| of each unit over the batch norms that scale it.

    Cost: One read of the scales.

    Raises:
        CriterionError: A group has single weights for units, or no batch norm scales it.
    """
    scales = {
        id(module.weight) for module in request.model.modules() if isinstance(module, BATCH_NORMS)
    }
    names = {name for name, tensor in request.parameters.items() if id(tensor) in scales}
    _check_scaled(request.groups.values(), names)
    signals = Signals({WEIGHT: request.parameters})
    return {
        NORM_SCALE: {name: _mean(signals, group, names) for name, group in request.groups.items()}
    }


NORM_SCALE = Signal(
    name="norm_scale_U",
    meaning="mean absolute scale of a unit over the batch norms that scale it",
    per="group",
    collector=collect_norm_scales,
)


def _mean(signals: Signals, group: Group, names: set[str]) -> Tensor:
    members = signals.of(group, frozenset({WEIGHT})).members
    per_norm_U = [m.weight_UF.abs().mean(dim=1) for m in members if m.name in names]
    return torch.stack(per_norm_U).mean(dim=0)


def _check_scaled(groups: Iterable[Group], names: set[str]) -> None:
    for group in groups:
        if group.granularity == "weight":
            raise CriterionError(
                f"batch norms do not scale the single weights of '{group.name}'",
                hint='use granularity="channel", or criterion="magnitude" for single weights',
            )
    without = [g for g in groups if not any(member.tensor in names for member in g.members)]
    if without:
        listed = ", ".join(f"'{group.name}'" for group in without[:SHOWN])
        more = f" and {len(without) - SHOWN} more" if len(without) > SHOWN else ""
        layers = [group.members[0].tensor.rpartition(".")[0] for group in without]
        exclude = f"exclude={layers}" if not more else "exclude=... their layers"
        raise CriterionError(
            f"{len(without)} of {len(list(groups))} groups have no batch norm that scales them: "
            f"{listed}{more}",
            why="their units would have no score; any other number could not be compared with "
            "the scales of the rest",
            hint=f'{exclude}, or criterion="magnitude"',
        )


SHOWN = 6
