"""The weights themselves: they cost no pass over data and are not copied."""

from collections.abc import Mapping
from math import isfinite

import torch
from torch import Tensor, nn

from prunus.errors import CriterionError
from prunus.records import Groups
from prunus.signals.signal import Request, Signal, Values


def collect_weights(request: Request) -> Values:
    """Return the parameters, sharing their memory."""
    return {WEIGHT: {name: tensor.detach() for name, tensor in request.parameters.items()}}


WEIGHT = Signal(
    name="weight_UF",
    meaning="the weights that a unit owns",
    per="member",
    collector=collect_weights,
)


def scored_parameters(model: nn.Module, groups: Groups) -> Mapping[str, nn.Parameter]:
    """Return every parameter that a unit of `groups` owns a part of, by name.

    Cost: One read of each.

    Raises:
        CriterionError: A group owns no parameter or one that `model` does not have, or a
            parameter is not real or not finite.
    """
    of_model = dict(model.named_parameters())
    scored = {}
    for group in groups.values():
        names = [member.tensor for member in group.members if member.parameter]
        if not names and group.taken_up_by is None:
            raise CriterionError(
                f"group '{group.name}' has nothing to score: none of its members is a parameter",
                hint="leave the group out",
            )
        for name in names:
            if name not in of_model:
                raise CriterionError(
                    f"the model has no parameter '{name}', which is a member of group "
                    f"'{group.name}'",
                    why="the groups were made from another model",
                    hint="trace this model and make its groups anew",
                )
            scored[name] = of_model[name]
    for name, parameter in scored.items():
        _check(name, parameter)
    return scored


def _check(name: str, parameter: Tensor) -> None:
    if parameter.is_meta or not parameter.is_floating_point():
        kind = "on the meta device" if parameter.is_meta else f"of type {parameter.dtype}"
        raise CriterionError(
            f"parameter '{name}' is {kind} and cannot be scored",
            why="scores are made of real floating-point numbers",
            hint="load the weights, or exclude this parameter's groups",
        )
    if not is_finite(parameter):
        bad = parameter.numel() - int(torch.isfinite(parameter).sum())
        raise CriterionError(
            f"{bad} of {parameter.numel()} weights in parameter '{name}' are NaN or infinite",
            why="such a model cannot be scored",
            hint="load a sound checkpoint; lower the learning rate if training diverged",
        )


def is_finite(tensor: Tensor) -> bool:
    """Return whether no number in `tensor` is NaN or infinite, in one read and without a copy."""
    if tensor.numel() == 0:
        return True
    if isfinite(tensor.detach().sum().item()):
        return True
    smallest, largest = torch.aminmax(tensor.detach())  # the sum may be too large a number
    return bool(torch.isfinite(smallest) & torch.isfinite(largest))
