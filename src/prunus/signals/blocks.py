"""What whole blocks do to what passes through them, and to the loss."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from prunus.inputs import call, loss_of, tensors_in
from prunus.modes import skipped
from prunus.signals.passes import batches_of, evaluated
from prunus.signals.signal import Request, Signal, Values


def collect_influence(request: Request) -> Values:
    """Return, per group, how much each block turns what passes through it.

    Raises:
        DataError: There is no batch, or one is not finite.

    Cost: One forward pass over the data.
    """
    turned = {path: torch.zeros(()) for group in request.groups.values() for path in group.blocks}
    count = 0

    def note(path: str, given: Tensor, returned: Tensor) -> None:
        dim = -1 if given.dim() == 3 else 1  # tokens have their features last, images first
        turned[path] += (1 - cosine_similarity(given, returned, dim=dim)).mean().cpu()

    with _listening(request, note), evaluated(request.model):
        for _, inputs, _targets in batches_of(request):
            call(request.model, inputs)
            count += 1
    return {
        INFLUENCE: {
            name: torch.stack([turned[path] for path in group.blocks]) / max(count, 1)
            for name, group in request.groups.items()
        }
    }


def collect_order(request: Request) -> Values:
    """Return, per group, when each block is taken out if always the least missed goes first.

    Cost: n (n + 1) / 2 passes over the data for n blocks in all.
    """
    left = {path for group in request.groups.values() for path in group.blocks}
    order: dict[str, int] = {}
    with evaluated(request.model):
        gone: list[str] = []
        while left:
            losses = {path: _loss_without(request, [*gone, path]) for path in sorted(left)}
            least = min(losses, key=losses.__getitem__)
            order[least] = len(gone)
            gone.append(least)
            left.remove(least)
    return {
        ORDER: {
            name: torch.tensor([float(order[path]) for path in group.blocks])
            for name, group in request.groups.items()
        }
    }


INFLUENCE = Signal(
    name="influence_U",
    meaning="1 - cosine between what a block is given and what it returns",
    per="group",
    collector=collect_influence,
    requires=("data",),
    units="blocks",
)
ORDER = Signal(
    name="order_U",
    meaning="when a block is taken out if always the least missed one goes first",
    per="group",
    collector=collect_order,
    requires=("data", "loss"),
    units="blocks",
)


def _loss_without(request: Request, paths: list[str]) -> float:
    assert request.loss is not None  # `collect` has checked that
    total, count = 0.0, 0
    with skipped(request.model, paths):
        for _, inputs, targets in batches_of(request):
            total += float(loss_of(request.loss, call(request.model, inputs), targets))
            count += 1
    return total / max(count, 1)


@contextmanager
def _listening(request: Request, note: Any) -> Iterator[None]:
    def hook(path: str) -> Any:
        def after(_: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
            note(path, next(tensors_in((args, kwargs))).float(), output.float())

        return after

    handles = []
    try:
        for group in request.groups.values():
            for path in group.blocks:
                module = request.model.get_submodule(path)
                handles.append(module.register_forward_hook(hook(path), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
