"""What a model costs that loses whole blocks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from prunus.cost.macs import terms_of
from prunus.cost.model import CostModel
from prunus.records import Group, Groups, Operator


@dataclass(frozen=True)
class BlockCosts:
    """Parameters, multiply-adds, bytes, latency when `counts[group]` blocks of each row are kept.

    The blocks of a group are of one make, so each costs the same.

    Attributes:
        dense: What the whole model costs.
        groups: The rows of blocks.
    """

    dense: CostModel
    groups: Groups

    def params(self, counts: Mapping[str, int]) -> int:
        """Return how many numbers the parameters hold."""
        return self.dense.params({}) - self._removed(counts, self._params_of)

    def macs(self, counts: Mapping[str, int]) -> int:
        """Return the multiply-adds of one forward pass."""
        return self.dense.macs({}) - self._removed(counts, self._macs_of)

    def bytes(self, counts: Mapping[str, int]) -> int:
        """Return the bytes of all parameters and buffers that a file stores."""
        return self.dense.bytes({}) - self._removed(counts, self._bytes_of)

    def latency(self, counts: Mapping[str, int]) -> int:
        """Return the nanoseconds of one forward pass, as the table predicts them."""
        return self.dense.latency({}) - self._removed(counts, self._latency_of)

    def _removed(self, counts: Mapping[str, int], cost: Callable[[Group], int]) -> int:
        cut = (group for name, group in self.groups.items() if name in counts)
        return sum((group.size - counts[group.name]) * cost(group) for group in cut)

    def _params_of(self, group: Group) -> int:
        graph = self.dense.graph
        names = (name for name in self._tensors(group) if name in graph.parameters)
        return sum(prod(graph.tensors[name].shape) for name in names)

    def _bytes_of(self, group: Group) -> int:
        tensors = self.dense.graph.tensors
        return sum(
            prod(tensors[name].shape) * tensors[name].dtype.itemsize
            for name in self._tensors(group)
            if name not in self.dense.transient
        )

    def _macs_of(self, group: Group) -> int:
        return sum(
            coefficient * prod(extent.size for extent in extents)
            for operator in self._operators(group)
            for coefficient, extents in terms_of(operator)
        )

    def _latency_of(self, group: Group) -> int:
        assert self.dense.times is not None, "there is no latency table"
        return self.dense.times.of(self._operators(group))

    def _operators(self, group: Group) -> tuple[Operator, ...]:
        block = next(b for b in self.dense.graph.blocks if b.path == group.blocks[0])
        first, last = block.ran
        return self.dense.graph.operators[first:last]

    def _tensors(self, group: Group) -> list[str]:
        prefix = f"{group.blocks[0]}."
        return [name for name in self.dense.graph.tensors if name.startswith(prefix)]
