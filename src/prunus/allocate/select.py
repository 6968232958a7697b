"""Exact selection of the lowest of a hundred million scores: two passes, no sort, no copy.

A first pass counts the upper 16 bits of every float32, which says in which of 65,536 buckets the
cut lies; a second counts the lower 16 bits inside that bucket, which says at which number. A
third writes one bit per unit.

Bits sort as the floats do, except that negative floats sort in reverse and that -0.0 is not 0.0.
The first is put right in the counts, not in the scores; the second by adding 0.0.

Cost: O(units) time in three passes over the scores, the first two of which count as many groups
at a time as PyTorch may use threads; memory for a piece a thread and, per group, the buckets in
use.

Source: radix select, as in Alabi et al., "Fast K-selection Algorithms for Graphics Processing
Units", 2012, doi:10.1145/2133803.2345676. Differs: two digits of 16 bits, and each group has a
most that it gives up.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from prunus.records import Kept

Piece: TypeAlias = npt.NDArray[np.float32]

_DIGITS = 2**16
_16 = np.uint32(16)
_NEGATIVE = 2**15  # the upper half of a negative number is at least this


@dataclass(frozen=True)
class Cut:
    """Which units of a group go: all below `threshold`, and the first `ties` at it."""

    threshold: np.float32
    ties: int
    removed: int


def lowest(
    remove: int, *, scores: Mapping[str, Callable[[], Iterable[Piece]]], most: Mapping[str, int]
) -> dict[str, Cut]:
    """Find the `remove` lowest units of all groups, of each group at most `most`.

    Of units that are equal, those of earlier groups go first, and inside a group earlier ones.

    Args:
        remove: How many units go; at least 1, at most the sum of `most`.
        scores: Per group, a call that yields its scores from the start, none of them NaN.
        most: Per group, how many of its units may go at most.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        return _lowest(remove, scores, most, threads)


def _lowest(
    remove: int,
    scores: Mapping[str, Callable[[], Iterable[Piece]]],
    most: Mapping[str, int],
    threads: ThreadPoolExecutor,
) -> dict[str, Cut]:
    upper = _per_group(_Histogram.upper, scores, threads)
    bucket = _crossing(upper, dict.fromkeys(scores, 0), most, remove)
    before = {name: upper[name].up_to(bucket - 1) for name in scores}

    lower = _per_group(partial(_Histogram.lower, bucket=bucket), scores, threads)
    last = _crossing(lower, before, most, remove)
    below = {name: before[name] + lower[name].up_to(last - 1) for name in scores}

    cuts: dict[str, Cut] = {}
    left = remove - sum(min(below[name], most[name]) for name in scores)
    for name in scores:
        if below[name] > most[name]:  # it holds back: its own cut lies lower
            alone = {name: scores[name]}
            cuts |= _lowest(most[name], alone, most, threads) if most[name] else {}
            continue
        equal = lower[name].up_to(last) - lower[name].up_to(last - 1)
        ties = min(equal, most[name] - below[name], left)
        left -= ties
        cuts[name] = Cut(_float_of(bucket, last), ties, removed=below[name] + ties)
    return cuts


def keep(pieces: Iterable[Piece], cut: Cut) -> Iterator[npt.NDArray[np.bool_]]:
    """Yield, piece by piece, which units stay."""
    ties = cut.ties
    for score in pieces:
        stays = score >= cut.threshold
        if ties:
            equal = np.flatnonzero(score == cut.threshold)[:ties]
            stays[equal] = False
            ties -= equal.size
        yield stays


def pack(pieces: Iterable[npt.NDArray[np.bool_]], *, size: int) -> Kept:
    """Pack a mask that comes in pieces of any length into one bit a unit.

    Example:
        >>> import numpy as np
        >>> mask = np.arange(20) % 3 == 0
        >>> torch.equal(pack([mask[:5], mask[5:]], size=20).bits, Kept.of(torch.tensor(mask)).bits)
        True
    """
    bits = np.empty(-(-size // 8), dtype=np.uint8)
    written = 0
    rest = np.empty(0, dtype=np.bool_)
    for piece in pieces:
        mask = np.concatenate([rest, piece]) if rest.size else piece
        whole = mask.size // 8
        bits[written : written + whole] = np.packbits(mask[: whole * 8])
        written += whole
        rest = mask[whole * 8 :]
    bits[written:] = np.packbits(rest)
    return Kept(size, torch.from_numpy(bits))


# -- histograms of digits ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Histogram:
    """How many scores of a group have a digit of at most so much, digits sorting as scores do.

    Attributes:
        digits: int64, ascending: those that occur.
        totals: int64: how many scores have one of at most that.
    """

    digits: npt.NDArray[np.int64]
    totals: npt.NDArray[np.int64]

    @classmethod
    def upper(cls, pieces: Iterable[Piece]) -> "_Histogram":
        """Count the upper halves of all scores."""
        count = _count(_bits(score) >> _16 for score in pieces)
        return cls._of(np.concatenate([count[_NEGATIVE:][::-1], count[:_NEGATIVE]]))

    @classmethod
    def lower(cls, pieces: Iterable[Piece], bucket: int) -> "_Histogram":
        """Count the lower halves of the scores whose upper half is `bucket`."""
        half = _upper_half(bucket)
        count = _count(_inside(score, half) for score in pieces)
        return cls._of(count[::-1] if half >= _NEGATIVE else count)

    @classmethod
    def _of(cls, count: npt.NDArray[np.int64]) -> "_Histogram":
        digits = np.flatnonzero(count)
        return cls(digits, np.cumsum(count[digits]))

    def up_to(self, digit: int) -> int:
        """Return how many scores have a digit of at most `digit`."""
        place = int(np.searchsorted(self.digits, digit, side="right"))
        return int(self.totals[place - 1]) if place else 0


def _per_group(
    count: Callable[[Iterable[Piece]], _Histogram],
    scores: Mapping[str, Callable[[], Iterable[Piece]]],
    threads: ThreadPoolExecutor,
) -> dict[str, _Histogram]:
    counted = threads.map(lambda pieces: count(pieces()), scores.values())
    return dict(zip(scores, counted, strict=True))


def _crossing(
    histograms: Mapping[str, _Histogram],
    before: Mapping[str, int],
    most: Mapping[str, int],
    remove: int,
) -> int:
    """Return the first digit such that at least `remove` units go if all up to it do."""

    def gone(digit: int) -> int:
        return sum(
            min(before[name] + histogram.up_to(digit), most[name])
            for name, histogram in histograms.items()
        )

    return bisect_left(range(_DIGITS), remove, key=gone)


def _count(digits: Iterable[npt.NDArray[np.uint32]]) -> npt.NDArray[np.int64]:
    """Return how often each digit occurs, int64 (65536,)."""
    count = torch.zeros(_DIGITS, dtype=torch.int64)
    for digit in digits:
        # torch counts int32 as it is; numpy would copy it to int64 first
        count += torch.bincount(torch.from_numpy(digit.view(np.int32)), minlength=_DIGITS)
    return count.numpy()


def _bits(score: Piece) -> npt.NDArray[np.uint32]:
    return (score + np.float32(0)).view(np.uint32)


def _inside(score: Piece, half: int) -> npt.NDArray[np.uint32]:
    """Return the lower halves of the scores whose upper half is `half`."""
    near_zero = half in (0, _NEGATIVE)  # where -0.0 is put right
    bits = _bits(score) if near_zero else score.view(np.uint32)
    lower = bits - np.uint32(half * _DIGITS)  # all others wrap around to more
    return lower[lower < _DIGITS]


def _upper_half(bucket: int) -> int:
    """Return the upper half of the bits of all floats in a bucket."""
    return bucket - _NEGATIVE if bucket >= _NEGATIVE else _DIGITS - 1 - bucket


def _float_of(bucket: int, digit: int) -> np.float32:
    half = _upper_half(bucket)
    low = _DIGITS - 1 - digit if half >= _NEGATIVE else digit
    return np.uint32(half * _DIGITS + low).view(np.float32)
