"""What a comparison found, and one of three verdicts.

"Not significantly different" is no proof of equality: with few test items nothing is ever
significant. So the caller says beforehand which drop would matter (the margin), and a verdict
is given only where the whole 95 % interval of the difference lies on one side of it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from prunus.verify.statistics import Interval

Verdict: TypeAlias = Literal["same", "worse", "not enough data to tell"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A metric before and after, on the same test items. Larger is better.

    Attributes:
        metric: Name of the metric.
        before: Its value before.
        after: Its value after.
        difference: after - before.
        lower: Lower end of the 95 % interval of the difference.
        upper: Upper end.
        margin: The drop that would matter, fixed beforehand.
        verdict: "same" where lower > -margin (better is fine), "worse" where upper < -margin,
            else "not enough data to tell".
        items: Number of test items.
        lost: Items that were right and are wrong now; None where items are not right or wrong.
        gained: Items that were wrong and are right now, or None.
        p_value: Of McNemar's mid-p test that nothing changed, or None.
        items_needed: Test items that would settle the verdict with probability 0.8 if the rates
            stay as seen. None where it is settled, or the drop is the margin itself.
        items_least: With fewer items than this "same" is out of reach even if nothing ever
            changed; None where that is not known.
        method: How the interval was found.

    Example:
        >>> before = torch.tensor([True] * 950 + [False] * 50)
        >>> after = torch.tensor([True] * 940 + [False] * 60)
        >>> from prunus.verify.paired import compare
        >>> print(compare(before, after, margin=0.05))
        accuracy 95.00 % -> 94.00 %: ...
        verdict: same ...
    """

    metric: str
    before: float
    after: float
    difference: float
    lower: float
    upper: float
    margin: float
    verdict: Verdict
    items: int
    lost: int | None = None
    gained: int | None = None
    p_value: float | None = None
    items_needed: int | None = None
    items_least: int | None = None
    method: str

    def __str__(self) -> str:
        lines = [self._measured(), f"verdict: {self._sentence()}"]
        if self.verdict == "not enough data to tell" and self.items < (self.items_least or 0):
            lines.append(
                f"{self.items:,} test items cannot show a drop below {self._size(self.margin)}, "
                f"even if nothing changed: that takes {self.items_least:,}"
            )
        return "\n".join(lines)

    def _measured(self) -> str:
        if self.lost is None:
            ends = f"{self.lower:+z.3g} to {self.upper:+z.3g}"
            change = f"{self.before:.4g} -> {self.after:.4g}: {self.difference:+z.3g}"
            changed = ""
        else:
            digits = 1 if self.items < 1000 else 2  # about the size of one item
            ends = f"{100 * self.lower:+z.{digits}f} to {100 * self.upper:+z.{digits}f}"
            change = (
                f"{100 * self.before:.{digits}f} % -> {100 * self.after:.{digits}f} %: "
                f"{100 * self.difference:+z.{digits}f} points"
            )
            changed = f" ({self.lost:,} lost, {self.gained:,} gained)"
        return (
            f"{self.metric} {change}, 95 % interval {ends}, on {self.items:,} test items{changed}"
        )

    def _sentence(self) -> str:
        size = self._size(self.margin)
        if self.verdict == "same":
            return f"same (the drop, if any, is below {size})"
        if self.verdict == "worse":
            return f"worse (the drop is above {size})"
        would = ""
        if self.items_needed is not None and self.items_needed != self.items_least:
            would = f"; about {_rounded_up(self.items_needed):,} test items would"
        return f"not enough data to tell whether the drop is below {size}{would}"

    def _size(self, value: float) -> str:
        if self.lost is None:
            return f"{value:g}"
        return f"{100 * value:g} point{'' if math.isclose(value, 0.01) else 's'}"


def verdict_of(interval: Interval, *, margin: float) -> Verdict:
    """Return what an interval of (after - before) says about a drop of `margin`.

    Example:
        >>> verdict_of(Interval(-0.004, 0.002), margin=0.01)
        'same'
    """
    if interval.lower > -margin:
        return "same"
    if interval.upper < -margin:
        return "worse"
    return "not enough data to tell"


def name_of(metric: Callable[..., Any]) -> str:
    """Return the name of a metric to print.

    Example:
        >>> def mean_average_precision(rows): ...
        >>> name_of(mean_average_precision)
        'mean average precision'
    """
    name = getattr(metric, "__name__", type(metric).__name__)
    return name.replace("_", " ").replace("<lambda>", "metric")


def _rounded_up(count: int) -> int:
    """Return `count` rounded up to two significant digits: it is an estimate."""
    step = int(10 ** max(0, len(str(count)) - 2))
    return math.ceil(count / step) * step
