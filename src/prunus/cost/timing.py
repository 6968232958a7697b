"""Measuring a latency table: each operator of a model alone, at several sizes.

Layers that are alike are measured once. The sizes of one operator take turns, so that what slows
the machine for a while slows all of them; the first turns are not counted; of the others the
median is taken, and then the nearest times that do not fall as a size grows: more work that takes
less time is noise, or a width that the plan had better keep.

Legend: P points of a grid, R rounds.
"""

import platform
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from prunus.cost.alone import Alone, Shape, Sizes, alone, unmeasured
from prunus.cost.latency import Curve, LatencyTable, free_axes
from prunus.cost.measured import check_at_least, pass_of, summary, undisturbed, wait_for
from prunus.extents import leaves, size_kept
from prunus.inputs import Inputs, device_of
from prunus.records import Graph
from prunus.versions import versions

Floats: TypeAlias = npt.NDArray[np.float64]

_WARMUP = 1
_WHOLE = 3  # times as many runs of the whole as of an operator
_SWEEPS = 100  # over the dims of a grid, until no time falls
_TRANSPOSED = {"mm": 1, "addmm": 2}  # the weight of a linear layer lies (outputs, inputs)


@dataclass(frozen=True)
class Call:
    """An operator with tensors, ready to run.

    Attributes:
        one: What it is.
        sizes: How large its factors are.
        positional: Arguments.
        keyword: Arguments that have a name only.
        device: Where it runs.
    """

    one: Alone
    sizes: Sizes
    positional: Sequence[Any]
    keyword: Mapping[str, Any]
    device: torch.device

    def run(self) -> None:
        """Run it."""
        self.one.operator.function(*self.positional, **self.keyword)


Watch: TypeAlias = Callable[[Call], float]
"""Runs a call, and returns the seconds that it took."""


def stopwatch(call: Call) -> float:
    """Run a call; return the seconds that it took."""
    wait_for(call.device)
    start = time.perf_counter()
    call.run()
    wait_for(call.device)
    return time.perf_counter() - start


def measure_table(  # noqa: PLR0913 - all keywords
    model: nn.Module,
    inputs: Inputs,
    graph: Graph,
    *,
    levels: int = 4,
    runs: int = 5,
    threads: int | None = None,
    watch: Watch = stopwatch,
    whole: Callable[[nn.Module, Inputs], Callable[[], float]] = pass_of,
) -> LatencyTable:
    """Return the latency table of a model; see `prunus.latency_table`.

    Args:
        model: As it was traced.
        inputs: Of the trace.
        graph: The trace.
        levels: Sizes at which an operator is measured, spread evenly.
        runs: Timed runs at each.
        threads: CPU threads for PyTorch; by default as many as it uses now.
        watch: Times one call.
        whole: Returns what times a pass of the model.
    """
    check_at_least(1, levels=levels, runs=runs, threads=threads)
    free, device = free_axes(graph), device_of(model)
    found = [one for operator in graph.operators if (one := alone(operator, free)) is not None]
    benches = {one.name: _Bench(one, device, _layout_of(model)) for one in found}
    numbers = Counter(one.name for one in found)
    with undisturbed([model], threads):
        curves = {
            name: _curve(bench, levels=levels, runs=runs, watch=watch)
            for name, bench in benches.items()
        }
        timed_pass = whole(model, inputs)
        turns = [
            (timed_pass(), sum(n * watch(benches[name].call({})) for name, n in numbers.items()))
            for _ in range(_WARMUP + _WHOLE * runs)
        ]
        used = torch.get_num_threads()
    whole_R, parts_R = 1e3 * np.array(turns[_WARMUP:]).T
    dense = summary(whole_R, device=device, inputs=inputs, threads=used)
    # What disturbs a run only makes it longer, so the shortest ones tell what is left.
    rest = max(0.0, 1 - float(parts_R.min() / whole_R.min())) * dense.median
    parts = sum(curves[one.name].at(one.at({})) for one in found)
    return LatencyTable(
        curves=curves,
        dense=dense,
        scale=(dense.median - rest) / parts if parts else 1.0,
        rest=rest,
        unmeasured=tuple(dict.fromkeys(o.name for o in graph.operators if unmeasured(o, free))),
        provenance={**versions(), **machine(), "levels": str(levels), "runs": str(runs)},
    )


def machine() -> dict[str, str]:
    """Return what tells one machine from another, as far as latency goes."""
    return {
        "machine": f"{platform.system()} {platform.machine()}",
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }


def _layout_of(model: nn.Module) -> torch.memory_format:
    kernels = [tensor for tensor in model.parameters() if tensor.dim() == 4]
    last = torch.channels_last
    apart = (k for k in kernels if k.is_contiguous(memory_format=last) and not k.is_contiguous())
    return last if any(True for _ in apart) else torch.contiguous_format


# -- one operator -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Bench:
    """Makes calls of one operator at any sizes.

    Attributes:
        one: The operator.
        device: Of its tensors.
        layout: Of those of four dims.
    """

    one: Alone
    device: torch.device
    layout: torch.memory_format

    def memory(self) -> list[Tensor | None]:
        """Return the numbers of its inputs, enough for the dense sizes."""
        return [
            None if value is None else _filled(prod(value.shape), value.dtype, self.device)
            for value in self.one.operator.inputs
        ]

    def call(self, sizes: Sizes, memory: list[Tensor | None] | None = None) -> Call:
        """Return the call at such sizes, none larger than in the dense model.

        Args:
            sizes: Of its factors; those that are absent are as in the dense model.
            memory: Of this bench, to share between calls; new unless given.
        """
        tensors = iter(self._tensors(sizes, memory or self.memory()))
        given = self.one.arguments(sizes)
        positional: list[Any] = []
        keyword: dict[str, Any] = {}
        for argument in self.one.operator.function._schema.arguments:
            value = given.get(argument.name)
            if str(argument.type) == "List[Tensor]":
                value = list(tensors)  # of cat and stack, which read no others
            elif value is None:
                value = next(tensors)  # a trace notes every None among them
            if argument.kwarg_only:
                keyword[argument.name] = value
            else:
                positional.append(value)
        return Call(self.one, sizes, positional, keyword, self.device)

    def _tensors(self, sizes: Sizes, memory: list[Tensor | None]) -> list[Tensor | None]:
        operator, found = self.one.operator, list[Tensor | None]()
        for place, (value, numbers) in enumerate(zip(operator.inputs, memory, strict=True)):
            if value is None or numbers is None:
                found.append(None)
            else:
                lies_down = _TRANSPOSED.get(operator.name) == place
                shape = self.one.shape(value, sizes)
                found.append(self._view(numbers, shape, lies_down=lies_down))
        return found

    def _view(self, numbers: Tensor, shape: Shape, *, lies_down: bool) -> Tensor:
        """Return the first of some numbers as a tensor of that shape."""
        numbers = numbers[: prod(shape)]
        if lies_down:
            return numbers.view(shape[::-1]).t()
        if len(shape) == 4 and self.layout is torch.channels_last:
            batch, channels, height, width = shape
            return numbers.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return numbers.view(shape)


def _filled(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return numbers that every operator takes: ones, and zeros where they count or point."""
    counts = not (dtype.is_floating_point or dtype.is_complex)
    return torch.full((size,), 0 if counts else 1, dtype=dtype, device=device)


def _curve(bench: _Bench, *, levels: int, runs: int, watch: Watch) -> Curve:
    """Measure one operator over its grid."""
    grid, memory = _grid(bench.one, levels), bench.memory()
    calls = [bench.call(sizes, memory) for sizes in grid]
    seconds_RP = np.array([[watch(call) for call in calls] for _ in range(_WARMUP + runs)])
    median_P = 1e3 * np.median(seconds_RP[_WARMUP:], axis=0)
    points = [bench.one.point(sizes) for sizes in grid]
    sizes = tuple(tuple(sorted(set(at))) for at in zip(*points, strict=True))
    times = ascending(median_P.reshape([len(at) for at in sizes]))
    return Curve(sizes, tuple(times.flatten().tolist()))


def _grid(one: Alone, levels: int) -> list[Sizes]:
    """Return the sizes at which an operator is measured, the last factor varying fastest."""
    if not one.by_work:
        ranges = [_levels(factor.size, levels) for factor in one.factors]
        return [dict(zip(one.factors, sizes, strict=True)) for sizes in product(*ranges)]
    axes = {axis: leaf for factor in one.factors for leaf in leaves(factor) if (axis := leaf.axis)}
    found: dict[tuple[int, ...], Sizes] = {}
    for share in range(levels + 1):
        counts = {
            axis: max(1, round(leaf.size * share / levels))
            for axis, leaf in axes.items()
            if axis in one.free
        }
        sizes = {factor: size_kept(factor, counts) for factor in one.factors}
        found[one.point(sizes)] = sizes
    return [found[point] for point in sorted(found)]


def _levels(size: int, levels: int) -> list[int]:
    """Return sizes spread evenly, and one more than each: kernels work in steps.

    33 channels often take as long as 40, so that between 32 and 48 two times are not enough.
    """
    even = {max(1, round(size * share / levels)) for share in range(1, levels + 1)}
    return sorted({1, *even, *(each + 1 for each in even if each < size)})


# -- noise --------------------------------------------------------------------------------------


def ascending(values: Floats) -> Floats:
    """Return near values that fall along no dim.

    Along one dim these are the nearest by least squares (isotonic regression by pooling adjacent
    violators); along several the dims are taken in turns until nothing falls.

    Example:
        >>> ascending(np.array([1.0, 3.0, 2.0, 4.0])).tolist()
        [1.0, 2.5, 2.5, 4.0]
    """
    for _ in range(_SWEEPS):
        before = values
        for dim in range(values.ndim):
            values = np.apply_along_axis(_pooled, dim, values)
        if np.allclose(values, before, rtol=1e-9, atol=0):
            break
    for dim in range(values.ndim):  # what rounding left
        values = np.maximum.accumulate(values, axis=dim)
    return values


def _pooled(value_N: Floats) -> Floats:
    means: list[float] = []
    sizes: list[int] = []
    for value in value_N.tolist():
        mean, size = value, 1
        while means and means[-1] > mean:
            last, number = means.pop(), sizes.pop()
            mean, size = (last * number + mean * size) / (number + size), number + size
        means.append(mean)
        sizes.append(size)
    return np.repeat(means, sizes)
