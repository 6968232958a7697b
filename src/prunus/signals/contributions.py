"""What each unit contributes to the outputs of the weights that read it.

Without unit u, the outputs of a layer lack v[u], the product of its inputs from u with its weights
for them. Without several units they lack the sum of their v. How far the outputs are then off is
a matter of the dot products v[u] . v[w] alone, over all outputs and places.

Legend: U units, J inputs of the layer that a unit owns; G, N, O, I as in `reads`.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from prunus.errors import CriterionError
from prunus.records import Group
from prunus.signals.activations import check_structured
from prunus.signals.inputs_read import check_finite, check_read
from prunus.signals.reads import Reading, Site, observe, unfolded
from prunus.signals.signal import Request, Signal, Values


def collect_contributions(request: Request) -> Values:
    """Return `CONTRIBUTION`: rows whose dot products are those of the units' contributions.

    Cost: One forward pass, and per place that a layer is read I ** 2 operations, I the inputs of
        one output: channels times kernel positions. Memory: 8 * U * I bytes, and twice the
        inputs of one layer for one batch, once per kernel position.

    Raises:
        CriterionError: Units are single weights, or a group is read by no weight or by one whose
            outputs do not follow: of a transposed convolution, or a part of a weight.
        DataError: There is no batch, or an input is not finite.
    """
    check_structured(request)
    for group in request.groups.values():
        if not any(member.reads for member in group.members):
            raise CriterionError(
                f"no weight reads the units of '{group.name}'",
                why="they are multiplied with each other or leave the model, so that there is no "
                "next layer whose outputs could be compared",
                hint=f"exclude=['{group.name}'], or criterion='activation_mean'",
            )
    sums = _Products(request)
    observe(request, sums)
    check_read(request, sums.seen)
    return {CONTRIBUTION: {name: _root(product) for name, product in sums.of_group_UU.items()}}


def _root(product_UU: Tensor) -> Tensor:
    """Return (U, U) whose rows have these dot products."""
    value_U, vector_UU = torch.linalg.eigh(product_UU)
    root_UU: Tensor = vector_UU * value_U.clamp(min=0).sqrt()
    return root_UU


@dataclass
class _Products:
    """Sums over all places of the dot products of contributions, float64."""

    request: Request
    of_group_UU: dict[str, Tensor] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def read(self, reading: Reading) -> None:
        name = reading.site.place.parameter
        self.seen.add(name)
        for group in self.request.groups.values():
            for position, member in enumerate(group.members):
                if member.reads and member.tensor == name:
                    index_UK = group.index_UK[position].to(reading.inputs.device)
                    self._add(group, reading, index_UK)

    def made(self, makers: tuple[Site, ...], tensor: Tensor, dim: int) -> None:
        """What comes out does not matter here."""

    def _add(self, group: Group, reading: Reading, index_UK: Tensor) -> None:
        check_finite(reading.site, reading.inputs)
        self._check_whole(group, reading)
        exact = torch.promote_types(reading.inputs.dtype, torch.float32)
        inputs_GNI, weight_GOI = (part.to(exact) for part in unfolded(reading))
        kernel = 1 if reading.site.convolution is None else reading.weight[0, 0].numel()
        index_UJ = (
            index_UK[:, :, None] * kernel + torch.arange(kernel, device=index_UK.device)
        ).flatten(1)
        product_UU = torch.zeros(
            len(index_UJ), len(index_UJ), dtype=torch.float64, device=index_UJ.device
        )
        for inputs_NI, weight_OI in zip(inputs_GNI, weight_GOI, strict=True):
            product_UU += _dot_products(inputs_NI, weight_OI, index_UJ)
        before = self.of_group_UU.get(group.name)
        self.of_group_UU[group.name] = product_UU if before is None else before + product_UU

    def _check_whole(self, group: Group, reading: Reading) -> None:
        how, place = reading.site.convolution, reading.site.place
        shape = tuple(self.request.parameters[place.parameter].shape)
        if how is None:
            whole = shape[2:].count(1) == len(shape[2:]) and place.shape in {
                shape[:2],
                shape[1::-1],
            }
        else:
            whole = place.shape == shape and not how.transposed
        if not whole:
            raise CriterionError(
                f"what '{place.parameter}' makes of the units of '{group.name}' is not known",
                why="it is a transposed convolution, or an operator reads a part of it",
                hint=f"exclude=['{group.name}'], or criterion='activation_mean'",
            )


def _dot_products(inputs_NI: Tensor, weight_OI: Tensor, index_UJ: Tensor) -> Tensor:
    """Return v[u] . v[w], (U, U): the product of those of the inputs and of the weights."""
    units, order_X = len(index_UJ), index_UJ.T.flatten()
    inputs_NX, weight_OX = inputs_NI[:, order_X], weight_OI[:, order_X]
    product_UU = torch.zeros(units, units, dtype=torch.float64, device=order_X.device)
    for start in range(0, len(order_X), units):  # one input of each unit at a time
        one, later = slice(start, start + units), slice(start + units, None)
        same, others = (
            (inputs_NX[:, one].T @ inputs_NX[:, part]) * (weight_OX[:, one].T @ weight_OX[:, part])
            for part in (one, later)
        )
        half_UU = others.view(units, others.shape[1] // units, units).sum(dim=1)
        product_UU += same + half_UU + half_UU.T
    return product_UU


CONTRIBUTION = Signal(
    name="contribution_UF",
    meaning="what each unit contributes to the outputs of the weights that read it",
    per="group",
    collector=collect_contributions,
    requires=("data",),
)
