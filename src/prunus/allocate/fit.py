"""Fitting counts to a budget where units are removed: channels, heads, layers.

Each group gives up its units in chunks: from all to the largest allowed count, and from each
allowed count to the next lower one. All chunks of the model are put in one order, and the
shortest prefix that meets every target goes. Costs grow with every count, so a binary search
finds it, and one chunk less misses the budget.

Legend: U units of a group, C chunks, G groups, P pools.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt
import torch

from prunus.allocate.base import Counts, Problem
from prunus.records import Group, Kept

_BEYOND_FLOAT32 = 1e300  # stands in for infinity, so that the mean of a chunk exists


@dataclass(frozen=True)
class _Chunks:
    """All that can be removed, group after group, inside a group the lowest scores first.

    Attributes:
        owner_C: int64, index of the group.
        size_C: int64, number of units.
        score_C: float64, mean score of the units; ascending inside a group.
    """

    owner_C: npt.NDArray[np.int64]
    size_C: npt.NDArray[np.int64]
    score_C: npt.NDArray[np.float64]


@final
@dataclass(frozen=True, kw_only=True)
class Structured(Problem):
    """Units are removed; every target but sparsity has a meaning."""

    words: ClassVar[Mapping[str, str]] = {
        "params": "parameters",
        "macs": "MACs",
        "bytes": "bytes",
        "latency": "latency",
        "units": "units",
    }

    def params(self, counts: Counts) -> int:
        """Return the number of parameters that are left."""
        return self.costs.params(counts)

    def remove_lowest(
        self,
        *,
        within: Callable[[Group], str],
        density: Mapping[str, float] | None = None,
    ) -> dict[str, int]:
        """See `Problem`. A chunk has the mean score of its units.

        Of chunks that stand equal, that of the earlier group goes first.
        """
        chunks, density = self._chunks, density or {}
        index = {pool: position for position, pool in enumerate(self.pools(within))}
        pool_G = np.array([index[within(group)] for group in self.free.values()])
        size_P = np.bincount(pool_G, [group.size for group in self.free.values()])
        density_P = np.array([density.get(pool, 1.0) for pool in index])

        order_C = np.lexsort((chunks.score_C, pool_G[chunks.owner_C]))  # pool after pool
        pool_C, size_C = pool_G[chunks.owner_C[order_C]], chunks.size_C[order_C]
        removable_P = np.bincount(pool_C, size_C, minlength=len(index))
        start_P = np.cumsum(removable_P) - removable_P
        # A chunk goes when the share that its pool is to lose passes the middle of the chunk.
        gone_C = np.cumsum(size_C) - start_P[pool_C] - size_C / 2
        left_C = 1 - gone_C / size_P[pool_C]
        return self._shortest_prefix(
            order_C[np.argsort(-left_C / density_P[pool_C], kind="stable")]
        )

    def kept(self, counts: Counts) -> dict[str, Kept]:
        """Return which units stay, for the groups that lose any."""
        return {
            name: self._highest(name, count)
            for name, count in counts.items()
            if count < self.groups[name].size
        }

    def _highest(self, name: str, count: int) -> Kept:
        score_U = self._scores[name]
        keep_U = torch.ones(score_U.size, dtype=torch.bool)
        keep_U[np.argsort(score_U, kind="stable")[: score_U.size - count]] = False
        return Kept.of(keep_U)

    def _shortest_prefix(self, order_C: npt.NDArray[np.intp]) -> dict[str, int]:
        """Return the counts after the fewest chunks of `order_C` are gone that meet the budget."""
        owner_C, size_C = self._chunks.owner_C[order_C], self._chunks.size_C[order_C]
        sizes = {name: group.size for name, group in self.free.items()}

        def counts(prefix: int) -> dict[str, int]:
            gone_G = np.bincount(owner_C[:prefix], size_C[:prefix], minlength=len(sizes))
            return {name: size - int(gone_G[i]) for i, (name, size) in enumerate(sizes.items())}

        prefixes = range(order_C.size + 1)
        return counts(bisect_left(prefixes, True, key=lambda p: not self.missed(counts(p))))

    @cached_property
    def _scores(self) -> Mapping[str, npt.NDArray[np.float32]]:
        return {name: np.concatenate(list(self.pieces(name))) for name in self.free}

    @cached_property
    def _chunks(self) -> _Chunks:
        owners, sizes, scores = [], [], []
        for index, (name, group) in enumerate(self.free.items()):
            end_C = group.size - np.array(self.smaller_counts(name)[::-1], dtype=np.int64)
            size_C = np.diff(end_C, prepend=0)
            score_U = np.sort(self._scores[name]).astype(np.float64)[: size_C.sum()]
            score_U = score_U.clip(-_BEYOND_FLOAT32, _BEYOND_FLOAT32)
            mean_C = np.add.reduceat(score_U, end_C - size_C) / size_C
            owners.append(np.full(size_C.size, index))
            sizes.append(size_C)
            scores.append(np.maximum.accumulate(mean_C))  # rounding must not swap two chunks
        return _Chunks(np.concatenate(owners), np.concatenate(sizes), np.concatenate(scores))
