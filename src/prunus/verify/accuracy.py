"""Is the accuracy the same before and after? Both models, on the same items, with a verdict.

Legend for tensor names: N items of a batch or of the whole test set, T tokens, V classes.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prunus.data import checked
from prunus.errors import DataError, VerifyError, unknown_name
from prunus.inputs import call, device_of, map_tensors, tensors_in
from prunus.modes import mode
from prunus.verify.comparison import Comparison, name_of
from prunus.verify.paired import check_margin, compare

Metric: TypeAlias = Callable[[Any, Any], Tensor]

# Targets to leave out, as in torch.nn.functional.cross_entropy.
IGNORED = -100


def verify(
    before: nn.Module,
    after: nn.Module,
    data: Iterable[Any],
    metric: str | Metric = "accuracy",
    *,
    margin: float = 0.01,
    seed: int = 0,
) -> Comparison:
    """Compare two models on test data: the difference, its 95 % interval, and a verdict.

    Both run on every batch, in evaluation mode and without gradients; their training flags are
    restored. `data` is read once, so a generator will do. Use data on which nothing was chosen:
    neither the model, nor the amount pruned.

    Args:
        before: The model before.
        after: The model after.
        data: Batches (inputs, targets).
        metric: "accuracy", "loss", or a function (outputs, targets) -> (N,): one value per item
            of the batch, larger is better, bool where items are right or wrong.
        margin: The drop that would matter, in units of the metric: 0.01 is one point of
            accuracy. Fix it before you look.
        seed: Of the bootstrap, for values that are not right or wrong.

    Raises:
        DataError: There is no batch, targets do not match outputs, or a model or the metric
            gives NaN or infinity.
        VerifyError: There is no such metric, or the margin makes no sense.

    Example:
        >>> dense = nn.Linear(4, 3)
        >>> inputs = torch.randn(500, 4)
        >>> targets = dense(inputs).argmax(dim=1)
        >>> print(verify(dense, dense, [(inputs, targets)]))
        accuracy 100.0 % -> 100.0 %: +0.0 points, 95 % interval -0.8 to +0.8,
        on 500 test items (0 lost, 0 gained)
        verdict: same (the drop, if any, is below 1 point)
    """
    check_margin(margin)
    function = _function_of(metric)
    models = {"the model before": before, "the model after": after}
    before_N, after_N = _evaluate(models, data, function)
    return compare(before_N, after_N, margin=margin, metric=name_of(function), seed=seed)


def measure(model: nn.Module, data: Iterable[Any], metric: str | Metric = "accuracy") -> Tensor:
    """Return the metric of every item, (N,) on the CPU: bool, or float64.

    The model runs in evaluation mode and without gradients; its training flags are restored. Two
    measurements can be paired only if `data` yields the same items in the same order both times.

    Args:
        model: Any module.
        data: Batches (inputs, targets).
        metric: As in `verify`.

    Raises:
        DataError: As in `verify`.
        VerifyError: There is no such metric.

    Example:
        >>> batches = [(torch.eye(3), torch.tensor([0, 1, 0]))]
        >>> measure(nn.Identity(), batches)
        tensor([ True,  True, False])
    """
    (value_N,) = _evaluate({"the model": model}, data, _function_of(metric))
    return value_N


def _evaluate(models: Mapping[str, nn.Module], data: Iterable[Any], metric: Metric) -> list[Tensor]:
    """Return the metric of every item for each model, all of which see a batch before the next."""
    parts: dict[str, list[Tensor]] = {which: [] for which in models}
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        for model in models.values():
            stack.enter_context(mode(model, training=False))
        batches = checked(data, device=device_of(next(iter(models.values()))))
        for number, (inputs, targets) in enumerate(batches, start=1):
            for which, model in models.items():
                own_inputs, own_targets = _copied((inputs, targets), device_of(model))
                outputs = call(model, own_inputs)
                where = f"{which}, batch {number}"
                _check_outputs(outputs, where)
                parts[which].append(_values(metric, outputs, own_targets, where))
    return [torch.cat(part) for part in parts.values()]


def _copied(tree: Any, device: torch.device) -> Any:
    """Return a copy for one model alone, as it may write to its inputs: nn.ReLU(inplace=True)."""
    return map_tensors(lambda tensor: tensor.to(device, copy=True), tree)


def _check_outputs(outputs: Any, where: str) -> None:
    for tensor in tensors_in(outputs):
        # Minus infinity is how models rule out a class.
        bad = int((tensor.isnan() | tensor.isposinf()).sum()) if tensor.is_floating_point() else 0
        if bad:
            raise DataError(
                f"{where}: {bad} of {tensor.numel()} outputs are NaN or infinite",
                hint="look at the weights, or run the model in a wider dtype",
            )


def _values(metric: Metric, outputs: Any, targets: Any, where: str) -> Tensor:
    try:
        value = metric(outputs, targets)
    except DataError as error:
        raise DataError(f"{where}: {error.what}", why=error.why, hint=error.hint) from error
    items = len(targets) if isinstance(targets, Tensor) and targets.dim() else None
    if not isinstance(value, Tensor) or value.dim() != 1 or items not in (None, len(value)):
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise DataError(
            f"{where}: the metric returned {got}",
            why="it must be a tensor of one value per item"
            + (f", here ({items},)" if items else ""),
            hint="do not average over the batch: reduction='none'",
        )
    value_N = value.cpu() if value.dtype == torch.bool else value.cpu().double()
    if not bool(value_N.isfinite().all()):
        item = int(value_N.isfinite().logical_not().nonzero()[0])
        raise DataError(f"{where}: the metric of item {item} is {value_N[item].item()}")
    return value_N


# -- metrics ----------------------------------------------------------------------------------


def accuracy(outputs: Any, targets: Any) -> Tensor:
    """Return whether the largest output is at the target.

    Outputs are (N, V), or (N, T, V) for tokens; targets are class numbers, (N,) or (N, T).
    Returns bool (N,); for tokens the share of right ones in each item, float (N,), because
    tokens of one text are not independent and whole texts have to be resampled.
    """
    logits = _logits(outputs, targets)
    right = logits.argmax(dim=-1) == targets
    return right if right.dim() == 1 else _item_mean(right, targets)


def negative_loss(outputs: Any, targets: Any) -> Tensor:
    """Return minus the cross entropy of each item, float32 (N,); for tokens minus their mean.

    Shapes as in `accuracy`. Computed in float32 whatever the model's dtype.
    """
    logits = _logits(outputs, targets).float()
    loss = F.cross_entropy(logits.movedim(-1, 1), targets, reduction="none", ignore_index=IGNORED)
    return -_item_mean(loss, targets)


METRICS: Mapping[str, Metric] = {"accuracy": accuracy, "loss": negative_loss}


def _function_of(metric: str | Metric) -> Metric:
    if not isinstance(metric, str):
        return metric
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS, VerifyError)
    return METRICS[metric]


def _logits(outputs: Any, targets: Any) -> Tensor:
    logits = getattr(outputs, "logits", outputs)  # models of transformers return a record
    if isinstance(logits, Tensor) and isinstance(targets, Tensor):
        classes = logits.shape[-1] if logits.dim() > 1 else 0
        if classes > 1 and logits.shape[:-1] == targets.shape and not targets.is_floating_point():
            _check_targets(targets)
            return logits
    raise DataError(
        f"outputs {_described(logits)} do not match targets {_described(targets)}",
        why="this metric takes outputs (items, classes), or (items, tokens, classes), with at "
        "least 2 classes, and class numbers as targets, (items,) or (items, tokens)",
        hint="for anything else give metric=a function (outputs, targets) -> (items,)",
    )


def _check_targets(targets: Tensor) -> None:
    empty = int(_by_item(targets == IGNORED).all(dim=1).sum())
    if empty:
        raise DataError(
            f"{empty} of {len(targets)} items have no target: all of theirs are {IGNORED}",
            hint="leave these items out of the data",
        )


def _described(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"of type {type(value).__name__}"
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


def _item_mean(value: Tensor, targets: Tensor) -> Tensor:
    """(N,) or (N, T) -> (N,): the mean over the targets of an item that are not left out."""
    counted = targets != IGNORED
    return _by_item(value * counted).sum(dim=1) / _by_item(counted).sum(dim=1)


def _by_item(value: Tensor) -> Tensor:
    """(N,) or (N, T) -> (N, 1) or (N, T)."""
    return value.unsqueeze(-1).flatten(1)
