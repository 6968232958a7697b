"""Compare two models by what they did on the same test items.

Legend for tensor names: N test items.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from prunus.errors import DataError, VerifyError
from prunus.verify.comparison import Comparison, name_of, verdict_of
from prunus.verify.proportions import (
    fewest_items,
    items_for_proportions,
    mid_p_value,
    proportion_interval,
    unseen_share,
)
from prunus.verify.statistics import REPEATS, Interval, bootstrap_interval, items_for_interval

# With fewer changed items than this, a resample often holds none of them.
FEW_CHANGED = 10


def compare(
    before: Tensor, after: Tensor, *, margin: float, metric: str | None = None, seed: int = 0
) -> Comparison:
    """Compare two models by what they did on the same items.

    Items that are right or wrong (bool, or numbers that are all 0 or 1) are compared by Tango's
    score interval and McNemar's test; other values, of which larger is better, by a paired
    bootstrap of their mean. Either takes items to be independent.

    Args:
        before: (N,), one value per item.
        after: (N,), of the same items in the same order.
        margin: The drop that would matter, above 0, in units of the metric: 0.01 is one point
            of accuracy. Fix it before you look.
        metric: Name to print.
        seed: Of the bootstrap.

    Raises:
        DataError: The two do not match, are empty, or hold NaN or infinity.
        VerifyError: The margin makes no sense.

    Example:
        >>> before = torch.ones(2000, dtype=torch.bool)
        >>> after = before.clone()
        >>> after[:3] = False
        >>> print(compare(before, after, margin=0.01))
        accuracy 100.00 % -> 99.85 %: -0.15 points, 95 % interval -0.44 to +0.04,
        on 2,000 test items (3 lost, 0 gained)
        verdict: same (the drop, if any, is below 1 point)
    """
    before_N, after_N = _checked(before, "before"), _checked(after, "after")
    _same_length(before_N, after_N)
    if _is_correctness(before_N) and _is_correctness(after_N):
        check_margin(margin, below=1.0)
        return _compare_correctness(before_N.bool(), after_N.bool(), margin, metric or "accuracy")
    check_margin(margin)
    return _compare_values(before_N, after_N, margin, metric or "mean", seed)


def compare_metric(
    metric: Callable[[Any], float | Tensor],
    before: Tensor | Sequence[Any],
    after: Tensor | Sequence[Any],
    *,
    margin: float,
    span: float = 1.0,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Comparison:
    """Compare two models by a metric of the whole test set: mAP, F1, perplexity.

    Such a metric is no mean over items, so whole items (images, documents) are drawn again and
    again, and the metric is computed anew on each draw.

    Args:
        metric: Rows of `before` or `after` -> the metric on them. Larger is better: give minus
            the perplexity. Its name is printed.
        before: One row per item, all that `metric` needs of it (outputs and targets, or sums):
            a tensor (N, ...), or any sequence of N things.
        after: The same of the other model, the items in the same order.
        margin: The drop that would matter, above 0, in units of the metric.
        span: How far the metric can reach from worst to best; 1 for mAP and F1. It sets the least
            width of the interval: what unseen items may do even if none of N changed.
        repeats: Number of draws; the cost is two calls of the metric for each.
        seed: Of the draws.

    Raises:
        DataError: The two do not match, hold fewer than 2 items, or the metric is not finite.
        VerifyError: The margin makes no sense.

    Example:
        >>> def minus_perplexity(rows):
        ...     loss, tokens = rows.sum(dim=0)
        ...     return -(loss / tokens).exp()
        >>> before = torch.stack([torch.linspace(100, 300, 500), torch.full((500,), 100.0)], dim=1)
        >>> after = before * torch.tensor([1.02, 1.0])
        >>> print(compare_metric(minus_perplexity, before, after, margin=0.5, span=10))
        minus perplexity -7.389 -> -7.691: -0.302, 95 % interval -0.378 to -0.225, on 500 test items
        verdict: same (the drop, if any, is below 0.5)
    """
    check_margin(margin)
    items = _same_length(before, after)
    name = name_of(metric)

    def values(index: Tensor) -> tuple[float, float]:
        return float(metric(_rows(before, index))), float(metric(_rows(after, index)))

    def difference(index: Tensor) -> float:
        value_before, value_after = values(index)
        return value_after - value_before

    resampled = bootstrap_interval(difference, items, repeats=repeats, seed=seed)
    whole = values(torch.arange(items))
    if not all(map(math.isfinite, whole)):
        raise DataError(
            f"{name} is {whole[0]:g} before and {whole[1]:g} after",
            hint="let it return a finite number for any choice of items",
        )
    return _bootstrapped(
        metric=name,
        values=whole,
        margin=margin,
        items=items,
        resampled=resampled,
        span=span,
        method=f"paired bootstrap, {repeats:,} resamples, seed {seed}",
    )


def _rows(values: Tensor | Sequence[Any], index: Tensor) -> Any:
    if isinstance(values, Tensor):
        return values[index]
    return [values[item] for item in index.tolist()]


def _same_length(before: Tensor | Sequence[Any], after: Tensor | Sequence[Any]) -> int:
    if len(before) != len(after):
        raise DataError(
            f"there are {len(before)} items before but {len(after)} after",
            hint="measure both models on the same items in the same order",
        )
    return len(before)


def _compare_correctness(
    before_N: Tensor, after_N: Tensor, margin: float, metric: str
) -> Comparison:
    items = len(before_N)
    lost = int((before_N & ~after_N).sum())
    gained = int((~before_N & after_N).sum())
    interval = proportion_interval(lost, gained, items)
    verdict = verdict_of(interval, margin=margin)
    needed = items_for_proportions(lost, gained, items, margin)
    return Comparison(
        metric=metric,
        before=int(before_N.sum()) / items,
        after=int(after_N.sum()) / items,
        difference=(gained - lost) / items,
        lower=interval.lower,
        upper=interval.upper,
        margin=margin,
        verdict=verdict,
        items=items,
        lost=lost,
        gained=gained,
        p_value=mid_p_value(lost, gained),
        items_needed=needed if verdict == "not enough data to tell" else None,
        items_least=fewest_items(margin),
        method="Tango's score interval",
    )


def _compare_values(
    before_N: Tensor, after_N: Tensor, margin: float, metric: str, seed: int
) -> Comparison:
    items = len(before_N)
    change_N = after_N - before_N
    few = int(change_N.count_nonzero()) < FEW_CHANGED
    both = torch.cat([before_N, after_N])
    return _bootstrapped(
        metric=metric,
        values=(float(before_N.mean()), float(after_N.mean())),
        margin=margin,
        items=items,
        resampled=bootstrap_interval(
            lambda index: change_N[index].mean(), items, repeats=REPEATS, seed=seed
        ),
        span=float(both.max() - both.min()) if few else 0.0,
        method=f"paired bootstrap, {REPEATS:,} resamples, seed {seed}",
    )


def _bootstrapped(
    *,
    metric: str,
    values: tuple[float, float],
    margin: float,
    items: int,
    resampled: Interval,
    span: float,
    method: str,
) -> Comparison:
    """Judge a bootstrap interval, widened to what unseen items may do.

    A bootstrap knows only items that it has seen: where none changed its interval is a point,
    however few they are. Items that changed may then be up to `unseen_share`, and each may move
    the metric by up to `span`. For items that are right or wrong that is Tango's interval.
    """
    before, after = values
    difference = after - before
    unseen = span * unseen_share(items)
    interval = Interval(
        min(resampled.lower, difference - unseen), max(resampled.upper, difference + unseen)
    )
    verdict = verdict_of(interval, margin=margin)
    gap = difference + margin
    needed = None
    if verdict == "not enough data to tell" and gap != 0.0:
        arm = difference - resampled.lower if gap > 0.0 else resampled.upper - difference
        needed = max(
            items_for_interval(arm, gap, items),
            fewest_items(abs(gap) / span) if span > 0.0 else 0,
        )
    return Comparison(
        metric=metric,
        before=before,
        after=after,
        difference=difference,
        lower=interval.lower,
        upper=interval.upper,
        margin=margin,
        verdict=verdict,
        items=items,
        items_needed=needed,
        items_least=fewest_items(margin / span) if span > 0.0 else None,
        method=method,
    )


def _checked(value: Tensor, which: str) -> Tensor:
    """Return `value` as float64 on the CPU, after making sure it is one finite number an item."""
    if value.dim() != 1 or value.numel() == 0:
        raise DataError(
            f"the values {which} have the shape {tuple(value.shape)}",
            why="a comparison needs one value per test item, and at least one item",
            hint="give a tensor of shape (items,)",
        )
    value_N = value.detach().cpu().double()
    bad = int((~value_N.isfinite()).sum())
    if bad:
        raise DataError(f"{bad} of {len(value_N)} values {which} are NaN or infinite")
    return value_N


def _is_correctness(value_N: Tensor) -> bool:
    return bool(((value_N == 0.0) | (value_N == 1.0)).all())


def check_margin(margin: float, *, below: float = math.inf) -> None:
    """Raise VerifyError unless 0 < margin < below."""
    if not 0.0 < margin < below:
        most = "" if below == math.inf else f" and below {below:g}"
        raise VerifyError(
            f"margin={margin:g} cannot be judged",
            why=f"it is the drop that would matter: above 0{most}, in units of the metric",
            hint="for one point of accuracy say margin=0.01",
        )
