"""Intervals of a difference: by resampling test items, and over a few seeds.

Legend for tensor names: N items, R resamples, S seeds.
"""

import math
from collections.abc import Callable, Iterator
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from prunus.errors import DataError

LEVEL = 0.95
POWER = 0.8
REPEATS = 2000


class Interval(NamedTuple):
    """A confidence interval."""

    lower: float
    upper: float


# -- any metric of items ------------------------------------------------------------------------


def resamples(items: int, *, repeats: int, seed: int) -> Iterator[Tensor]:
    """Yield `repeats` times int64 (N,): N of the N items, drawn with replacement."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(repeats):
        yield torch.randint(items, (items,), generator=generator)


def bootstrap_interval(
    difference: Callable[[Tensor], Tensor | float],
    items: int,
    *,
    level: float = LEVEL,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Interval:
    """Return the bootstrap interval of a difference that is a function of items.

    The percentiles are those that make the interval as wide as Student's for a mean of few
    items; plain percentiles are too narrow there. It knows nothing of what no item shows: where
    all resamples agree it has no width.

    Args:
        difference: int64 (N,) item numbers, some of them repeated -> after minus before.
        items: Number of items N, at least 2.
        level: Probability with which the interval covers the true difference.
        repeats: Number of resamples.
        seed: Of the resampling.

    Source: Hesterberg, "What teachers should know about the bootstrap", The American
        Statistician 69, 2015, arXiv:1411.5279, section 4: expanded percentile interval.

    Example:
        >>> change_N = torch.linspace(-1, 1, 101)
        >>> lower, upper = bootstrap_interval(lambda index: change_N[index].mean(), 101)
        >>> round(lower, 2), round(upper, 2)
        (-0.11, 0.12)
    """
    if items < 2:
        raise DataError(f"cannot resample {items} items", hint="give at least 2 test items")
    replicate_R = torch.tensor(
        [float(difference(index)) for index in resamples(items, repeats=repeats, seed=seed)],
        dtype=torch.float64,
    )
    if not bool(replicate_R.isfinite().all()):
        raise DataError(
            "the metric is not finite on a resample of the test items",
            hint="let it return a finite number for any choice of items, repeated ones included",
        )
    stretch = math.sqrt(items / (items - 1))
    tail = NormalDist().cdf(-stretch * student_quantile(0.5 + level / 2.0, items - 1))
    ends = torch.quantile(replicate_R, torch.tensor([tail, 1.0 - tail], dtype=torch.float64))
    return Interval(*ends.tolist())


def items_for_interval(
    arm: float, gap: float, items: int, *, level: float = LEVEL, power: float = POWER
) -> int:
    """Return how many items settle on which side of a bound a mean lies.

    The interval is taken to shrink with the square root of the number of items.

    Args:
        arm: Distance from the observed mean to the end of its interval that faces the bound.
        gap: Distance from the observed mean to the bound, not 0.
        items: Number of items that gave the interval.
        level: Of the interval.
        power: Probability with which the verdict shall be settled.

    Example:
        >>> items_for_interval(arm=0.02, gap=0.01, items=100)
        818
    """
    ratio = arm / gap * (1.0 + NormalDist().inv_cdf(power) / z_of(level))
    return math.floor(items * ratio**2) + 1


# -- a few seeds ------------------------------------------------------------------------------


def t_interval(difference_S: Tensor, *, level: float = LEVEL) -> Interval:
    """Return Student's interval of the mean of paired differences, one per seed.

    The question differs from that about test items: what does this way of pruning do, not this
    one pruned model.

    Args:
        difference_S: After minus before, (S,), at least 2.
        level: Probability with which the interval covers the true mean.

    Example:
        >>> lower, upper = t_interval(torch.tensor([0.01, 0.02, 0.03]))
        >>> round(lower, 4), round(upper, 4)
        (-0.0048, 0.0448)
    """
    seeds = difference_S.numel()
    if difference_S.dim() != 1 or seeds < 2:
        raise DataError(
            f"differences of shape {tuple(difference_S.shape)} have no interval",
            why="a spread takes at least 2 seeds in a tensor of one dim",
            hint="run more seeds; 5 is a good number",
        )
    if not bool(difference_S.isfinite().all()):
        raise DataError(f"the differences of the seeds are not finite: {difference_S.tolist()}")
    values = difference_S.double()
    reach = student_quantile(0.5 + level / 2.0, seeds - 1)
    half = reach * float(values.std()) / math.sqrt(seeds)
    mean = float(values.mean())
    return Interval(mean - half, mean + half)


@cache
def student_quantile(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t for 0.5 <= probability < 1.

    With t = sqrt(freedom) * tan(angle) the density becomes a power of a cosine, smooth enough
    for 64 Gauss-Legendre nodes to be exact to 8 digits or more at any freedom.

    Example:
        >>> round(student_quantile(0.975, 4), 4)
        2.7764
    """
    node, weight = np.polynomial.legendre.leggauss(64)
    scale = math.exp(math.lgamma((freedom + 1) / 2.0) - math.lgamma(freedom / 2.0))
    scale /= math.sqrt(math.pi)

    def below(angle: float) -> bool:
        area = angle / 2.0 * (weight @ np.cos(angle / 2.0 * (node + 1.0)) ** (freedom - 1))
        return bool(0.5 + scale * area < probability)

    return math.sqrt(freedom) * math.tan(bisect(below, 0.0, math.pi / 2.0))


# -- shared -----------------------------------------------------------------------------------


def z_of(level: float) -> float:
    """Return the z of a two-sided normal interval.

    Example:
        >>> round(z_of(0.95), 4)
        1.96
    """
    return NormalDist().inv_cdf(0.5 + level / 2.0)


def bisect(before: Callable[[float], bool], start: float, end: float) -> float:
    """Return where `before` turns from true (at start) to false (at end), to the last bit.

    Example:
        >>> round(bisect(lambda x: x * x < 2.0, 0.0, 2.0), 12)
        1.414213562373
    """
    while True:
        middle = start + (end - start) / 2.0
        if middle in (start, end):
            return middle
        if before(middle):
            start = middle
        else:
            end = middle
