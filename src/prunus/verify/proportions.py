"""Two proportions on the same items: how many were right before, and how many after.

`lost` items were right and are wrong now, `gained` items were wrong and are right now. The
difference is (gained - lost) / items: after minus before.
"""

import math
from statistics import NormalDist

import torch

from prunus.errors import DataError
from prunus.verify.statistics import LEVEL, POWER, Interval, bisect, z_of


def proportion_interval(lost: int, gained: int, items: int, *, level: float = LEVEL) -> Interval:
    """Return the score interval of (gained - lost) / items, a paired difference of proportions.

    It holds its level where few items disagree or none does, where the usual
    `difference +- 1.96 * standard error` is far too narrow.

    Source: Tango, "Equivalence test and confidence interval for the difference in proportions
        for the paired-sample design", Statistics in Medicine 17, 1998.

    Example:
        >>> lower, upper = proportion_interval(lost=5, gained=3, items=360)
        >>> round(lower, 4), round(upper, 4)
        (-0.0248, 0.0121)
    """
    _check_counts(lost, gained, items)
    z = z_of(level)
    # The upper end is the lower end of the exchanged question, so exchange mirrors exactly.
    return Interval(_lower_end(lost, gained, items, z), -_lower_end(gained, lost, items, z))


def _lower_end(lost: int, gained: int, items: int, z: float) -> float:
    observed = (gained - lost) / items

    def excluded(difference: float) -> bool:
        variance = _restricted_variance(lost / items, gained / items, difference)
        return items * (observed - difference) ** 2 > z * z * variance

    return bisect(excluded, -1.0, observed) if excluded(-1.0) else -1.0


def _restricted_variance(lost: float, gained: float, difference: float) -> float:
    """Return the variance of one item's change if the true difference were `difference`.

    `lost` and `gained` are observed shares. The true share of lost items is then the q that
    maximises the likelihood with q + difference gained: the larger root of Tango's quadratic.
    """
    b = (2.0 + lost - gained) * difference - lost - gained
    c = -lost * difference * (1.0 - difference)
    root = math.sqrt(max(0.0, b * b - 8.0 * c))
    # Of two forms of the same root, the one that does not subtract equal numbers.
    q = (root - b) / 4.0 if b <= 0.0 else -2.0 * c / (root + b)
    return max(0.0, 2.0 * q + difference * (1.0 - difference))


def mid_p_value(lost: int, gained: int) -> float:
    """Return the mid-p value of McNemar's test that the two proportions are equal, two-sided.

    A large value is no proof of equality: that takes an interval and a margin. 1 where no item
    changed.

    Source: Fagerland, Lydersen and Laake, "The McNemar test for binary matched-pairs data: mid-p
        and asymptotic are better than exact conditional", BMC Medical Research Methodology 13,
        2013.

    Example:
        >>> round(mid_p_value(lost=16, gained=6), 6)
        0.03469
    """
    _check_counts(lost, gained, max(1, lost + gained))
    changed, fewer = lost + gained, min(lost, gained)
    if changed == 0:
        return 1.0
    count = torch.arange(fewer + 1, dtype=torch.float64)
    log_ways = (
        math.lgamma(changed + 1) - torch.lgamma(count + 1) - torch.lgamma(changed - count + 1)
    )
    probability = (log_ways - changed * math.log(2.0)).exp()
    more_extreme, as_extreme = probability[:-1].sum(), probability[-1]
    weight = 0.5 if lost == gained else 1.0  # an even split has no mirror image
    return float(2.0 * more_extreme + weight * as_extreme)


# -- how many items ---------------------------------------------------------------------------


def unseen_share(items: int, *, level: float = LEVEL) -> float:
    """Return the largest share of all items that may change where none of `items` did.

    It is the end of `proportion_interval(0, 0, items)`.
    """
    z = z_of(level)
    return z * z / (items + z * z)


def fewest_items(margin: float, *, level: float = LEVEL) -> int:
    """Return the fewest items on which no disagreement at all shows a drop below `margin`.

    Example:
        >>> fewest_items(0.01)
        381
    """
    z = z_of(level)
    return max(1, math.floor(z * z * (1.0 - margin) / margin) + 1)


def items_for_proportions(
    lost: int, gained: int, items: int, margin: float, *, level: float = LEVEL, power: float = POWER
) -> int | None:
    """Return how many items settle whether the drop is below `margin`, at the shares seen.

    That many items give a verdict with probability `power` if the true shares are those
    observed; None where the observed drop is the margin itself.

    Source: the power of Tango's test; Nam, "Establishing equivalence of two treatments and
        sample size requirements in matched-pairs design", Biometrics 53, 1997.

    Example:
        >>> items_for_proportions(lost=5, gained=3, items=360, margin=0.01)
        9300
    """
    _check_counts(lost, gained, items)
    difference = (gained - lost) / items
    gap = difference + margin
    if gap == 0.0:
        return None
    at_margin = _restricted_variance(lost / items, gained / items, -margin)
    observed = (lost + gained) / items - difference**2
    reach = z_of(level) * math.sqrt(at_margin) + NormalDist().inv_cdf(power) * math.sqrt(observed)
    return math.floor((reach / gap) ** 2) + 1


def _check_counts(lost: int, gained: int, items: int) -> None:
    if min(lost, gained) < 0 or items < 1 or lost + gained > items:
        raise DataError(
            f"{lost} lost and {gained} gained of {items} items cannot be",
            hint="give counts of 0 or more that add up to at most the number of items",
        )
