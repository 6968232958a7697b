"""The figures of a study in words, one way for each of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from prunus.study.analysis import NEEDS, Analysis, Estimate, Point

_TARGETS = {
    "params": "parameters",
    "macs": "MACs",
    "bytes": "bytes",
    "latency": "latency",
    "units": "units",
    "sparsity": "weights",
}


def percent(value: float, digits: int = 1) -> str:
    """Return a fraction in percent.

    Example:
        >>> percent(0.9812), percent(0.25, 0)
        ('98.1 %', '25 %')
    """
    return f"{100 * value:.{digits}f} %"


def points(value: float, digits: int = 1) -> str:
    """Return the size of a difference of accuracy, without its sign.

    Example:
        >>> points(-0.012), points(0.01, 0)
        ('1.2 points', '1 point')
    """
    size = f"{100 * abs(value):.{digits}f}"
    return f"{size} point{'' if float(size) == 1 else 's'}"


def signed(value: float, digits: int = 1) -> str:
    r"""Return a difference of accuracy in points, with its sign; a minus that does not break.

    Example:
        >>> signed(0.012), signed(0.00001), ascii(signed(-0.012))
        ('+1.2', '0.0', "'\\u22121.2'")
    """
    text = f"{100 * value:+z.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return text.lstrip("+") if not text.strip("+.0") else text


def margin(value: float) -> str:
    """Return a margin in as many digits as it was given.

    Example:
        >>> margin(0.01), margin(0.005)
        ('1 point', '0.5 points')
    """
    size = f"{100 * value:.6g}"
    return f"{size} point{'' if size == '1' else 's'}"


def times(ratio: float) -> str:
    """Return a ratio of speeds.

    Example:
        >>> times(2.9)
        '2.90x'
    """
    return f"{ratio:.2f}x"


def seconds(value: float) -> str:
    """Return a duration, two or three digits long.

    Example:
        >>> seconds(0.0213), seconds(7.25), seconds(75)
        ('21 ms', '7.2 s', '1 min 15 s')
    """
    if value < 0.1:
        return f"{1000 * value:.2g} ms"
    if value < 1:
        return f"{value:.2g} s"
    if value < 60:
        return f"{value:.{1 if value < 10 else 0}f} s"
    return f"{int(value) // 60} min {int(value) % 60} s"


def spread(value: Estimate, digits: int = 1) -> str:
    """Return an accuracy over seeds with its interval.

    Example:
        >>> spread(Estimate(mean=0.978, reach=0.006)), spread(Estimate(mean=0.978, reach=None))
        ('97.8 ± 0.6 %', '97.8 %')
    """
    if value.reach is None:
        return percent(value.mean, digits)
    return f"{100 * value.mean:.{digits}f} ± {100 * value.reach:.{digits}f} %"


def listing(items: Iterable[str]) -> str:
    """Return items as people list them.

    Example:
        >>> listing(["a", "b", "c"])
        'a, b and c'
    """
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def word_of(target: str) -> str:
    """Return what a budget counts.

    Example:
        >>> word_of("macs")
        'MACs'
    """
    return _TARGETS.get(target, target)


def place(point: Point) -> str:
    """Return what is kept at an operating point.

    Example:
        >>> place(Point(granularity="channel", budget="macs=0.25", target="macs", fraction=0.25))
        '25 % of the MACs'
    """
    return places([point])


def places(several: Sequence[Point]) -> str:
    """Return what is kept at several operating points, the target named once.

    Example:
        >>> half, tenth = (
        ...     Point(granularity="channel", budget="", target="macs", fraction=fraction)
        ...     for fraction in (0.5, 0.1)
        ... )
        >>> places([half, tenth])
        '50 and 10 % of the MACs'
    """
    parts = []
    for target, same in groupby(several, key=lambda point: point.target):
        shares = listing(f"{100 * point.fraction:.3g}" for point in same)
        parts.append(f"{shares} % of the {word_of(target)}")
    return listing(parts)


def needs_of(needs: Sequence[str]) -> str:
    """Return what a strategy needs beside the weights.

    Example:
        >>> needs_of(["labels", "data"]), needs_of([])
        ('data, labels', 'weights only')
    """
    known = [need for need in NEEDS if need in needs]
    others = [need for need in needs if need not in NEEDS]
    return ", ".join(known + others) or "weights only"


def seeds_of(count: int) -> str:
    """Return a number of seeds.

    Example:
        >>> seeds_of(1), seeds_of(3)
        ('1 seed', '3 seeds')
    """
    return f"{count} seed{'' if count == 1 else 's'}"


def threads_of(count: int) -> str:
    """Return a number of threads.

    Example:
        >>> threads_of(1), threads_of(2)
        ('1 thread', '2 threads')
    """
    return f"{count} thread{'' if count == 1 else 's'}"


@dataclass(frozen=True, kw_only=True)
class Unit:
    """How the accuracies of a study are written.

    Attributes:
        shares: Whether they are shares of the test items, in percent and points; else plain.
        digits: Of a percentage: about one test item.

    Example:
        >>> unit, plain = Unit(shares=True, digits=1), Unit(shares=False, digits=1)
        >>> unit.value(0.981), unit.size(-0.012), plain.value(-0.31234), plain.size(-0.012)
        ('98.1 %', '1.2 points', '-0.3123', '0.012')
    """

    shares: bool
    digits: int

    @property
    def factor(self) -> int:
        """By which a value is multiplied on an axis."""
        return 100 if self.shares else 1

    @property
    def suffix(self) -> str:
        """What follows a value on an axis."""
        return " %" if self.shares else ""

    @property
    def points(self) -> str:
        """What follows a difference with a sign."""
        return " points" if self.shares else ""

    def value(self, value: float) -> str:
        """Return an accuracy."""
        return percent(value, self.digits) if self.shares else f"{value:.4g}"

    def spread(self, value: Estimate) -> str:
        """Return an accuracy over seeds with its interval."""
        if self.shares:
            return spread(value, self.digits)
        reach = "" if value.reach is None else f" ± {value.reach:.2g}"
        return f"{self.value(value.mean)}{reach}"

    def size(self, difference: float) -> str:
        """Return a difference without its sign."""
        return points(difference, self.digits) if self.shares else f"{abs(difference):.3g}"

    def signed(self, difference: float) -> str:
        """Return a difference with its sign, in points or plain."""
        if self.shares:
            return signed(difference, self.digits)
        return f"{difference:+.3g}".replace("-", "\N{MINUS SIGN}")

    def margin(self, value: float) -> str:
        """Return a margin in as many digits as it was given."""
        return margin(value) if self.shares else f"{value:.6g}"


def unit_of(found: Analysis) -> Unit:
    """Return how the accuracies of a study are written."""
    return Unit(shares=found.shares, digits=1 if found.facts.items < 1000 else 2)
