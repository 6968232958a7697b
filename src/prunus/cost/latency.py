"""How long a model takes under a plan, from a table of how long its operators take.

    latency = scale * sum over operators of their time at the sizes that are kept + rest

The operators were run alone, at several sizes each. The rest is what the dense model took beyond
them: Python, views, and what could not be run alone. Where the parts took longer alone than the
whole, as on devices that work while Python goes on, there is no rest, and the scale is below 1.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite, prod

import numpy as np

from prunus.cost.alone import Alone, alone
from prunus.errors import BudgetError, PruneError
from prunus.records import Graph, Latency, Operator
from prunus.text import duration

_NANOSECONDS = 10**6  # in a millisecond


@dataclass(frozen=True)
class Curve:
    """How long an operator takes, over one or two sizes; a single time where none can change.

    Between the measured sizes it is straight in each. Times never fall as a size grows.

    Attributes:
        sizes: Per size that matters, where it was measured, ascending.
        milliseconds: At each combination of these, the last size varying fastest.

    Raises:
        PruneError: There are more or fewer times than combinations, or they fall, or are no
            times.

    Example:
        >>> curve = Curve(((1, 8), (1, 8)), (1.0, 2.0, 3.0, 8.0))
        >>> curve.at((8, 8)), curve.at((1, 8)), curve.at((8, 1)), curve.at((4.5, 1))
        (8.0, 2.0, 3.0, 2.0)
    """

    sizes: tuple[tuple[int, ...], ...]
    milliseconds: tuple[float, ...]

    def __post_init__(self) -> None:
        ascending = all(a < b for at in self.sizes for a, b in pairwise(at))
        complete = all(self.sizes) and len(self.milliseconds) == prod(map(len, self.sizes))
        if not ascending or not complete:
            raise PruneError(
                f"{len(self.milliseconds)} times do not make a curve over {self.sizes}",
                why="there is one time for each combination of sizes, and sizes ascend",
            )
        if not all(isfinite(time) and time >= 0 for time in self.milliseconds) or self._falls():
            raise PruneError(
                f"{self.milliseconds} are no times of an operator over {self.sizes}",
                why="times are at least 0, and do not fall as a size grows",
            )

    def _falls(self) -> bool:
        values = np.reshape(self.milliseconds, [len(at) for at in self.sizes])
        return any((np.diff(values, axis=dim) < 0).any() for dim in range(values.ndim))

    def at(self, point: Sequence[float]) -> float:
        """Return the time at these sizes, in milliseconds; outside, that at the border."""
        values = self.milliseconds
        for at, size in zip(self.sizes, point, strict=True):
            step = len(values) // len(at)
            last = max(len(at) - 2, 0)
            left = min(max(bisect_right(at, size) - 1, 0), last)
            right = min(left + 1, len(at) - 1)
            width = at[right] - at[left] or 1
            share = min(max((size - at[left]) / width, 0.0), 1.0)
            low, high = (values[k * step : (k + 1) * step] for k in (left, right))
            values = tuple(a + share * (b - a) for a, b in zip(low, high, strict=True))
        return values[0]


@dataclass(frozen=True, kw_only=True)
class LatencyTable:
    """How long the operators of a model take at several sizes, and the dense model as a whole.

    Attributes:
        curves: By operator, in words.
        dense: The dense model, measured as a whole.
        scale: What the times of operators are multiplied with.
        rest: What the dense model takes beyond its operators, in milliseconds.
        unmeasured: Operators that a plan makes smaller and that could not be run alone; their
            time is in the rest, and stays.
        provenance: The machine, versions, and how it was measured.
    """

    curves: Mapping[str, Curve]
    dense: Latency
    scale: float
    rest: float
    unmeasured: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        dense = self.dense
        return (
            f"{len(self.curves)} operators at batch {dense.batch} on {dense.device}, "
            f"{dense.threads} thread{'s' if dense.threads > 1 else ''}: the dense model takes "
            f"{duration(dense.median)}, of which {duration(self.rest)} are not in operators"
        )


def free_axes(graph: Graph) -> frozenset[str]:
    """Return the axes that a plan can cut."""
    return frozenset(name for name, axis in graph.axes.items() if axis.frozen_because is None)


@dataclass(frozen=True)
class Times:
    """The latency of one model under any plan.

    Attributes:
        graph: From a trace.
        table: Of the same model, measured at the same example inputs.

    Raises:
        BudgetError: The table knows nothing of an operator of the model.
    """

    graph: Graph
    table: LatencyTable
    _terms: tuple[tuple[int, Curve, Alone], ...] = field(init=False, repr=False, compare=False)
    _known: dict[tuple[int, tuple[int, ...]], float] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        found = tuple(self._alone(self.graph.operators))
        unknown = sorted({one.name for one in found} - self.table.curves.keys())
        if unknown:
            raise BudgetError(
                f"the latency table is of another model: it lacks {len(unknown)} operators",
                why=f"this one runs {unknown[0]}",
                hint="measure it anew, at these example inputs: "
                "prunus.latency_table(model, example_inputs)",
            )
        merged = Counter((one.name, one.factors) for one in found)  # equal blocks count once
        first = {(one.name, one.factors): one for one in reversed(found)}
        terms = tuple(
            (number, self.table.curves[key[0]], first[key]) for key, number in merged.items()
        )
        object.__setattr__(self, "_terms", terms)

    def __call__(self, counts: Mapping[str, int]) -> int:
        """Return the time when `counts[axis]` units of each axis are kept, in nanoseconds."""
        parts = sum(number * self._time(k, counts) for k, (number, _, _) in enumerate(self._terms))
        return round((self.table.scale * parts + self.table.rest) * _NANOSECONDS)

    def of(self, operators: Iterable[Operator]) -> int:
        """Return the part of some operators in the dense model, in nanoseconds."""
        times = (self.table.curves[one.name].at(one.at({})) for one in self._alone(operators))
        return int(self.table.scale * sum(times) * _NANOSECONDS)

    def _time(self, term: int, counts: Mapping[str, int]) -> float:
        _, curve, one = self._terms[term]
        key = term, one.at(counts)
        if key not in self._known:
            self._known[key] = curve.at(key[1])
        return self._known[key]

    def _alone(self, operators: Iterable[Operator]) -> Iterable[Alone]:
        free: Collection[str] = free_axes(self.graph)
        return filter(None, (alone(operator, free) for operator in operators))
