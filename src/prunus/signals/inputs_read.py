"""What each weight is multiplied with: how large it is, and which input and output it joins."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod

import torch
from torch import Tensor
from torch.nn import functional

from prunus.errors import CriterionError, DataError
from prunus.signals.parts import assembled
from prunus.signals.reads import Convolution, Reading, Site, observe
from prunus.signals.signal import Request, Signal, Values
from prunus.signals.weights import is_finite


def collect_inputs(request: Request) -> Values:
    """Return the signals of this file that `request` names.

    Every place where a weight is read counts once: tokens, pixels of the output, uses of a shared
    weight. Of a convolution, an input is a channel at a kernel position, as in the matrix form;
    padding counts as the zeros that it is.

    Cost: One forward pass. Memory: 8 bytes per input of each weight, and one batch's largest
        activation in float64.

    Raises:
        CriterionError: A weight that is to be scored is never multiplied with an input.
        DataError: There is no batch, or an input is not finite.
    """
    sums = _Squares()
    observe(request, sums)
    sites: dict[str, list[Site]] = defaultdict(list)
    for site in sums.sum_of:
        sites[site.place.parameter].append(site)
    check_read(request, sites)
    return {
        signal: {
            name: _LAID_OUT[signal](sums, parameter, sites[name])
            if name in sites
            else torch.zeros((), device=parameter.device).expand(parameter.shape)
            for name, parameter in request.parameters.items()
        }
        for signal in request.signals
    }


def check_read(request: Request, seen: Collection[str]) -> None:
    """Raise CriterionError where a weight that units read or are was never multiplied."""
    for group in request.groups.values():
        for member in group.members:
            wanted = member.parameter and (member.reads or member.dim is None)
            if wanted and member.tensor not in seen:
                raise CriterionError(
                    f"'{member.tensor}' is never multiplied with an input on these data",
                    why="no matrix product or convolution reads it as it is: it is worked out "
                    "anew in forward, or its layer does not run",
                    hint=f"exclude=['{member.tensor}'], or criterion='magnitude'",
                )


@dataclass
class _Squares:
    """Sums of squared inputs, in the form that a site's matrix has its inputs."""

    sum_of: dict[Site, Tensor] = field(default_factory=dict)
    count: dict[Site, int] = field(default_factory=lambda: defaultdict(int))

    def read(self, reading: Reading) -> None:
        value, count = _squares(reading)
        self.sum_of[reading.site] = self.sum_of.get(reading.site, 0) + value
        self.count[reading.site] += count

    def made(self, makers: tuple[Site, ...], tensor: Tensor, dim: int) -> None:
        """What comes out does not matter here."""


def _squares(reading: Reading) -> tuple[Tensor, int]:
    """Return the sum of the squares of each input, float64, and of how many numbers."""
    how = reading.site.convolution
    square = reading.inputs.double().square()
    if how is None:
        return square.sum(dim=0), square.shape[0]
    items, square_CS = square.shape[0], square.sum(dim=0)
    if how.transposed:
        return square_CS.flatten(1).sum(dim=1), items * prod(square_CS.shape[1:])
    kernel = reading.weight.shape[2:]
    square_CS = functional.pad(square_CS, [p for p in reversed(how.padding) for _ in range(2)])
    places = [
        (size - how.dilation[dim] * (kernel[dim] - 1) - 1) // how.stride[dim] + 1
        for dim, size in enumerate(square_CS.shape[1:])
    ]
    at_positions = [
        square_CS[(slice(None), *_places(position, places, how))].flatten(1).sum(dim=1)
        for position in product(*map(range, kernel))
    ]
    value = torch.stack(at_positions, dim=1).view(how.groups, 1, -1, *kernel)
    return value, items * prod(places)


def _places(position: tuple[int, ...], places: list[int], how: Convolution) -> tuple[slice, ...]:
    """Return where in the padded input a kernel position comes to lie."""
    starts = [at * how.dilation[dim] for dim, at in enumerate(position)]
    return tuple(
        slice(start, start + (places[dim] - 1) * how.stride[dim] + 1, how.stride[dim])
        for dim, start in enumerate(starts)
    )


def _laid_out(site: Site, value: Tensor) -> Tensor:
    """Lay out one number per input of the site's matrix in the shape of its weight."""
    if site.convolution is None or site.convolution.transposed:
        return site.of_inputs(value)
    return site.of_groups(value)


def _means(sums: _Squares, parameter: Tensor, sites: list[Site]) -> Tensor:
    for site in sites:
        check_finite(site, sums.sum_of[site])
    if len(sites) == 1:
        mean = (sums.sum_of[sites[0]] / sums.count[sites[0]]).float()
        return assembled(parameter, [(sites[0].place, _laid_out(sites[0], mean))])
    sum_of = [(site.place, _laid_out(site, sums.sum_of[site])) for site in sites]
    count = [
        (place, torch.full_like(value, sums.count[s]))
        for s, (place, value) in zip(sites, sum_of, strict=True)
    ]
    added, times = (assembled(parameter, parts, write=Tensor.add_) for parts in (sum_of, count))
    return (added / times.clamp(min=1)).float()


def check_finite(site: Site, value: Tensor) -> None:
    """Raise DataError where what a weight reads was not finite."""
    if not is_finite(value):
        raise DataError(
            f"'{site.place.parameter}' reads numbers that are not finite",
            why="the batches are finite, so the model overflows before it",
            hint=f"exclude=['{site.place.parameter}'], or a model in float32",
        )


def _columns(sums: _Squares, parameter: Tensor, sites: list[Site]) -> Tensor:
    parts, start = [], 0
    for site in sites:
        value = sums.sum_of[site]
        number = torch.arange(start, start + value.numel(), device=value.device)
        parts.append((site.place, _laid_out(site, number.float().view(value.shape))))
        start += value.numel()
    return assembled(parameter, parts)


def _rows(sums: _Squares, parameter: Tensor, sites: list[Site]) -> Tensor:
    parts, start = [], 0
    for site in sites:
        how, shape = site.convolution, site.place.shape
        size = shape[1] if how is None else shape[0]
        if how is not None and how.transposed:
            size = shape[1] * how.groups
        number = torch.arange(start, start + size, device=sums.sum_of[site].device)
        parts.append((site.place, site.of_outputs(number.float())))
        start += size
    return assembled(parameter, parts)


INPUT_SQUARE = Signal(
    name="input_square_UF",
    meaning="mean square of what each weight is multiplied with; 0 for biases and norms",
    per="member",
    collector=collect_inputs,
    requires=("data",),
)
INPUT = Signal(
    name="input_UF",
    meaning="number of the input that each weight is multiplied with",
    per="member",
    collector=collect_inputs,
    requires=("data",),
)
OUTPUT = Signal(
    name="output_UF",
    meaning="number of the output that each weight is a part of",
    per="member",
    collector=collect_inputs,
    requires=("data",),
)

_LAID_OUT: Mapping[Signal, Callable[[_Squares, Tensor, list[Site]], Tensor]] = {
    INPUT_SQUARE: _means,
    INPUT: _columns,
    OUTPUT: _rows,
}
