"""What the units of a group are on data: size, spread, share of zeros, rank of their maps.

The activation of a unit is what the weights that read it are multiplied with: the value after
norms and functions, whatever these are. A unit that no weight reads, as the queries and keys of
attention, which are multiplied with each other, is taken where the weights that make it leave it,
with the norms and functions that follow at once.

Legend: U units, C channels or features, H x W a map.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from prunus.errors import CriterionError
from prunus.records import Group, Member
from prunus.signals.inputs_read import check_finite
from prunus.signals.parts import assembled
from prunus.signals.reads import Reading, Site, observe
from prunus.signals.signal import Collector, Request, Signal, Values
from prunus.signals.tensors import layout_of

Side: TypeAlias = Literal["inputs", "outputs"]


def collect_activations(request: Request) -> Values:
    """Return the signals of this file that `request` names.

    Every number counts once, pixels and tokens too, so that it makes no difference how items are
    batched. Where several weights read a unit, or it owns several positions, these are averaged.

    Cost: One forward pass. Memory: 32 bytes per channel, and one batch's largest activation in
        float64.

    Raises:
        CriterionError: Units are single weights, or neither read nor made by any weight that runs.
        DataError: There is no batch, or an activation is not finite.
    """
    check_structured(request)
    inputs, outputs = set(), set()
    for group in request.groups.values():
        read = {member.tensor for member in group.members if member.reads}
        inputs |= read
        outputs |= set() if read else {m.tensor for m in group.members if m.produces}
    sums = _Moments(frozenset(inputs), frozenset(outputs))
    return _collected(request, sums)


def collect_ranks(request: Request) -> Values:
    """Return `RANK`: the mean rank over items of the map of each unit.

    A map is what a unit leaves to the next operator that is no norm and no function: on its way
    to several, it counts for each place where it changed.

    Cost: One forward pass and a singular value decomposition of every map of every item.

    Raises:
        CriterionError: Units are single weights, or have no maps.
        DataError: There is no batch, or a map is not finite.
    """
    check_structured(request)
    return _collected(request, _Ranks())


# -- what is added up ---------------------------------------------------------------------------


@dataclass
class _Moments:
    """Sums over all that a site reads, or makes, per channel: float64, (C,) each.

    Attributes:
        inputs: The weights whose inputs matter.
        outputs: The weights for which it matters what they make.
    """

    inputs: frozenset[str]
    outputs: frozenset[str]
    sums: dict[tuple[Side, Site], dict[str, Tensor]] = field(default_factory=dict)

    def read(self, reading: Reading) -> None:
        if reading.site.place.parameter in self.inputs:
            dim = -1 if reading.site.convolution is None else 1
            self._add("inputs", reading.site, reading.inputs, dim)

    def made(self, makers: tuple[Site, ...], tensor: Tensor, dim: int) -> None:
        for maker in makers:
            if maker.place.parameter in self.outputs:
                self._add("outputs", maker, tensor, dim)

    def _add(self, side: Side, site: Site, tensor: Tensor, dim: int) -> None:
        value_C = tensor.double().movedim(dim, 0).flatten(1)
        found = {
            "sum": value_C.sum(dim=1),
            "square": value_C.square().sum(dim=1),
            "absolute": value_C.abs().sum(dim=1),
            "zeros": (value_C == 0).sum(dim=1).double(),
            "count": value_C.new_tensor(value_C.shape[1]),
        }
        before = self.sums.get((side, site))
        self.sums[side, site] = (
            found if before is None else {key: before[key] + found[key] for key in found}
        )

    def of(self, signal: Signal, side: Side, site: Site) -> Tensor:
        """Return the statistic of one site, (C,)."""
        sums = self.sums[side, site]
        check_finite(site, sums["absolute"])
        return _STATISTICS[signal](sums)

    def missing(self, group: Group) -> CriterionError:
        return CriterionError(
            f"the activations of '{group.name}' are not seen on these data",
            why="no matrix product or convolution with a weight of the group runs",
            hint=f"exclude=['{group.name}'], or criterion='magnitude'",
        )


def _variance(sums: Mapping[str, Tensor]) -> Tensor:
    mean = sums["sum"] / sums["count"]
    return (sums["square"] / sums["count"] - mean.square()).clamp(min=0)


@dataclass
class _Ranks:
    """Sums over items of the rank of each map, (C,)."""

    sums: dict[tuple[Side, Site], Tensor] = field(default_factory=dict)
    items: dict[tuple[Side, Site], int] = field(default_factory=lambda: defaultdict(int))

    def read(self, reading: Reading) -> None:
        """Maps are taken where they are made, so that pooling does not hide them."""

    def made(self, makers: tuple[Site, ...], tensor: Tensor, dim: int) -> None:
        if tensor.dim() != 4 or dim != 1 or min(tensor.shape[2:]) < 2:
            return
        for maker in makers:
            check_finite(maker, tensor)
        rank_C = torch.linalg.matrix_rank(tensor.float()).sum(dim=0)
        for maker in makers:
            key: tuple[Side, Site] = ("outputs", maker)
            self.sums[key] = self.sums.get(key, torch.zeros_like(rank_C)) + rank_C
            self.items[key] += tensor.shape[0]

    def of(self, signal: Signal, side: Side, site: Site) -> Tensor:
        """Return the mean rank, (C,)."""
        return self.sums[side, site].double() / self.items[side, site]

    def missing(self, group: Group) -> CriterionError:
        return CriterionError(
            f"the units of '{group.name}' have no maps",
            why="a rank is that of a map of height and width of 2 or more, (N, C, H, W), which a "
            "convolution makes",
            hint=f"exclude=['{group.name}'], or criterion='activation_mean'",
        )


# -- from sites to units ------------------------------------------------------------------------


def check_structured(request: Request) -> None:
    """Raise CriterionError where units are single weights, which have no activation of their own.

    Raises:
        CriterionError: They are.
    """
    for group in request.groups.values():
        if any(member.dim is None for member in group.members):
            raise CriterionError(
                f"the single weights of '{group.name}' have no activations of their own",
                why="an activation belongs to a whole channel, feature or neuron",
                hint='use granularity="channel", or criterion="wanda" for single weights',
            )


def _collected(request: Request, sums: "_Moments | _Ranks") -> Values:
    observe(request, sums)
    return {
        signal: {
            name: _of_group(request, group, sums, signal) for name, group in request.groups.items()
        }
        for signal in request.signals
    }


def _of_group(request: Request, group: Group, sums: "_Moments | _Ranks", signal: Signal) -> Tensor:
    """Return a number per unit, (U,)."""
    for side in _SIDES:
        per_member_U = []
        for position, member in enumerate(group.members):
            parts = [
                (site.place, _SIDES[side](site, sums.of(signal, side, site)))
                for of_side, site in sums.sums
                if of_side == side and site.place.parameter == member.tensor and _on(side, member)
            ]
            if parts:
                value = assembled(request.parameters[member.tensor], parts)
                layout = layout_of(group, position, 0, group.size)
                per_member_U.append(layout(value).mean(dim=1))
        if per_member_U:
            return torch.stack(per_member_U).mean(dim=0)
    raise sums.missing(group)


_SIDES: Mapping[Side, Callable[[Site, Tensor], Tensor]] = {
    "inputs": Site.of_inputs,
    "outputs": Site.of_outputs,
}


def _on(side: Side, member: Member) -> bool:
    """Whether the units are what the weight reads, or what it makes."""
    return member.reads if side == "inputs" else member.produces


# -- the signals --------------------------------------------------------------------------------


def _signal(name: str, meaning: str, collector: Collector = collect_activations) -> Signal:
    return Signal(name=name, meaning=meaning, per="group", collector=collector, requires=("data",))


ACTIVATION_MEAN = _signal("magnitude_U", "mean absolute activation of each unit")
ACTIVATION_VARIANCE = _signal("variance_U", "variance of the activation of each unit")
ACTIVATION_ZEROS = _signal("zeros_U", "share of the activations of each unit that are zero")
RANK = _signal("rank_U", "mean rank of the map of each unit", collect_ranks)

_STATISTICS: Mapping[Signal, Callable[[Mapping[str, Tensor]], Tensor]] = {
    ACTIVATION_MEAN: lambda sums: sums["absolute"] / sums["count"],
    ACTIVATION_VARIANCE: _variance,
    ACTIVATION_ZEROS: lambda sums: sums["zeros"] / sums["count"],
}
