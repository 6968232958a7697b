"""What a plan will cost, from the graph alone: no model is built, nothing runs."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import prod

from prunus.cost.latency import LatencyTable, Times
from prunus.cost.macs import Term, terms_of
from prunus.extents import Extent, axes_of, factors_of, size_kept
from prunus.records import Graph


@dataclass(frozen=True)
class Total:
    """A sum of terms that is quick to evaluate for many plans.

    Fixed sizes are multiplied out and equal terms merged, so a hundred equal blocks of a model
    cost no more than their distinct axes.

    Attributes:
        factors: The distinct extents whose size a plan can change.
        terms: (coefficient, positions in `factors`), each set of factors once.
    """

    factors: tuple[Extent, ...]
    terms: tuple[tuple[int, tuple[int, ...]], ...]

    @classmethod
    def of(cls, terms: Iterable[Term]) -> "Total":
        """Merge `terms`."""
        position: dict[Extent, int] = {}
        merged: Counter[tuple[int, ...]] = Counter()
        for coefficient, extents in terms:
            product = []
            for factor in factors_of(extents):
                if factor in position or axes_of(factor):
                    product.append(position.setdefault(factor, len(position)))
                else:
                    coefficient *= factor.size
            merged[tuple(sorted(product))] += coefficient
        by_number = tuple((coefficient, product) for product, coefficient in merged.items())
        return cls(factors=tuple(position), terms=by_number)

    def __call__(self, counts: Mapping[str, int]) -> int:
        """Return the exact total when `counts[axis]` units of each named axis are kept."""
        sizes = [size_kept(factor, counts) for factor in self.factors]
        return sum(
            coefficient * prod([sizes[position] for position in product])
            for coefficient, product in self.terms
        )


@dataclass(frozen=True)
class CostModel:
    """Parameters, multiply-adds, bytes and latency of a model under any plan.

    Each figure takes `counts`: how many units of each axis are kept. Axes that are absent keep
    all, so `{}` gives the dense model. Figures are exact ints. Zeros in a dense tensor count.

    Attributes:
        graph: What a trace learned. Every tensor counts once, however many names it has.
        transient: Names of the buffers that a file does not store; see
            `prunus.cost.counted.transient_buffers`.
        table: How long operators take; None where no latency will be asked for.

    Raises:
        BudgetError: The table is of another model.

    Example:
        >>> from prunus.extents import Leaf
        >>> from prunus.records import Value
        >>> tensors = {
        ...     "0.weight": Value((16, 8), (Leaf(16, "hidden"), Leaf(8)), torch.float32),
        ...     "2.weight": Value((4, 16), (Leaf(4), Leaf(16, "hidden")), torch.float32),
        ... }
        >>> graph = Graph({}, tensors, frozenset(tensors), {}, (), (), (), {})
        >>> cost = CostModel(graph)
        >>> cost.params({}), cost.params({"hidden": 4}), cost.bytes({"hidden": 4})
        (192, 48, 192)
    """

    graph: Graph
    transient: Collection[str] = ()
    table: LatencyTable | None = None
    times: Times | None = field(init=False, repr=False, compare=False)
    _params: Total = field(init=False, repr=False, compare=False)
    _macs: Total = field(init=False, repr=False, compare=False)
    _bytes: Total = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tensors = self.graph.tensors.items()
        params = ((1, value.extents) for name, value in tensors if name in self.graph.parameters)
        stored = (value for name, value in tensors if name not in self.transient)
        macs = (term for operator in self.graph.operators for term in terms_of(operator))
        times = None if self.table is None else Times(self.graph, self.table)
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "_params", Total.of(params))
        object.__setattr__(self, "_macs", Total.of(macs))
        object.__setattr__(
            self, "_bytes", Total.of((value.dtype.itemsize, value.extents) for value in stored)
        )

    def params(self, counts: Mapping[str, int]) -> int:
        """Return how many numbers the parameters hold; tied ones count once."""
        return self._params(counts)

    def macs(self, counts: Mapping[str, int]) -> int:
        """Return the multiply-adds of one forward pass at the example inputs."""
        return self._macs(counts)

    def bytes(self, counts: Mapping[str, int]) -> int:
        """Return the bytes of all parameters and buffers that a file stores."""
        return self._bytes(counts)

    def latency(self, counts: Mapping[str, int]) -> int:
        """Return the nanoseconds of one forward pass, as the table predicts them."""
        assert self.times is not None, "there is no latency table"
        return self.times(counts)
