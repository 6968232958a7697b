"""Numbers as people read them."""


def amount(number: float) -> str:
    """Return a count with a unit, three digits long.

    Example:
        >>> amount(4_110_000_000), amount(77_930), amount(12)
        ('4.11 G', '77.9 k', '12')
    """
    for unit, size in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if abs(number) >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


def duration(milliseconds: float) -> str:
    """Return a time with a unit, three digits long.

    Example:
        >>> duration(8.25), duration(1234), duration(0.0351)
        ('8.25 ms', '1.23 s', '35.1 us')
    """
    for unit, size in (("s", 1e3), ("ms", 1.0), ("us", 1e-3)):
        if abs(milliseconds) >= size:
            return f"{milliseconds / size:.3g} {unit}"
    return f"{1e6 * milliseconds:.3g} ns"


def share(part: float, whole: float) -> str:
    """Return `part` of `whole` in percent.

    Example:
        >>> share(1, 4)
        '25.0 %'
    """
    return f"{100 * part / whole:.1f} %" if whole else "-"
