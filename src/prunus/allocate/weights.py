"""Choosing among weights: a unit is one number, and it is zeroed, not removed."""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from math import floor
from typing import ClassVar, final

from prunus.allocate.base import Counts, Problem
from prunus.allocate.select import Cut, keep, lowest, pack
from prunus.records import Group, Kept


@final
@dataclass(frozen=True, kw_only=True)
class Weights(Problem):
    """Weights are zeroed, and all units have the same number, so the budget alone says how many go.

    Attributes:
        area: Weights in a unit: 1, or those of a block.

    Cost: two passes over the scores for all groups that lose any, one more to write the bits.
    """

    area: int = 1

    words: ClassVar[Mapping[str, str]] = {
        "params": "parameters not zero",
        "units": "prunable weights",
        "sparsity": "parameters not zero",
    }

    _cuts: dict[str, Cut] = field(default_factory=dict, init=False, repr=False, compare=False)

    def params(self, counts: Counts) -> int:
        """Return the number of parameters that are not zero, if none was before."""
        zeros = sum(self.groups[name].size - count for name, count in counts.items())
        return self.costs.params({}) - self.area * zeros

    def remove_lowest(
        self,
        *,
        within: Callable[[Group], str],
        density: Mapping[str, float] | None = None,
    ) -> dict[str, int]:
        """See `Problem`. Shares are rounded by largest remainder, so the total is exact."""
        pools = self.pools(within)
        size = {pool: sum(self.free[name].size for name in names) for pool, names in pools.items()}
        least = {pool: sum(map(self.least, names)) for pool, names in pools.items()}
        over = (self._over(target) for target in self.limits)
        kept = share_out(
            sum(size.values()) - max(0, *over),
            size=size,
            least=least,
            density={pool: (density or {}).get(pool, 1.0) for pool in pools},
        )
        for pool, names in pools.items():
            self._cut(names, size[pool] - kept[pool])
        return {name: group.size - self._removed(name) for name, group in self.free.items()}

    def kept(self, counts: Counts) -> dict[str, Kept]:
        """Return which weights stay, for the tensors that lose any."""
        kept = {}
        for name, count in counts.items():
            remove = self.groups[name].size - count
            if remove != self._removed(name):
                self._cut([name], remove)
            if remove:
                stays = keep(self.pieces(name), self._cuts[name])
                kept[name] = pack(stays, size=self.groups[name].size)
        return kept

    def _over(self, target: str) -> int:
        """Return how many units must go to meet a target."""
        over = self.cost(target, {}) - self.limits[target]
        return over if target == "units" else -(-over // self.area)

    def _cut(self, names: list[str], remove: int) -> None:
        """Find and note the cuts that take the `remove` lowest weights of `names`."""
        for name in names:
            self._cuts.pop(name, None)
        if remove:
            scores = {name: partial(self.pieces, name) for name in names}
            most = {name: self.free[name].size - self.least(name) for name in names}
            self._cuts.update(lowest(remove, scores=scores, most=most))

    def _removed(self, name: str) -> int:
        return self._cuts[name].removed if name in self._cuts else 0


def share_out(
    total: int,
    *,
    size: Mapping[str, int],
    least: Mapping[str, int],
    density: Mapping[str, float],
) -> dict[str, int]:
    """Share `total` kept units among pools, each between `least` and `size`, exactly.

    Each pool keeps `s * density * size`, cut off at its bounds, with one `s` for all, rounded by
    largest remainder (of equal ones the first).

    Example:
        >>> share_out(5, size={"a": 4, "b": 6}, least={"a": 1, "b": 1}, density={"a": 1, "b": 1})
        {'a': 2, 'b': 3}
    """
    full = {pool: Fraction(density[pool]) * size[pool] for pool in size}

    def quota(scale: Fraction) -> dict[str, Fraction]:
        return {
            pool: min(max(scale * full[pool], Fraction(least[pool])), Fraction(size[pool]))
            for pool in size
        }

    # The sum of the quotas grows with the scale, in straight lines between bends: the scales at
    # which a pool meets a bound.
    bends = sorted({bound[pool] / full[pool] for bound in (least, size) for pool in size})
    sums = [sum(quota(scale).values(), start=Fraction()) for scale in bends]
    end = bisect_left(sums, total)
    scale = bends[end]
    if sums[end] > total:
        start = end - 1
        rise = (total - sums[start]) / (sums[end] - sums[start])
        scale = bends[start] + rise * (bends[end] - bends[start])

    exact = quota(scale)
    kept = {pool: floor(share) for pool, share in exact.items()}
    by_remainder = sorted(kept, key=lambda pool: kept[pool] - exact[pool])
    for pool in by_remainder[: total - sum(kept.values())]:
        kept[pool] += 1
    return kept
