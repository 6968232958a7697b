"""How much worse a model is with some of its units at zero, measured on the user's data."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from prunus.data import checked
from prunus.inputs import Inputs, Loss, call, device_of, loss_of, tensors_in
from prunus.masks import Masked
from prunus.modes import mode
from prunus.records import Plan
from prunus.signals.passes import random_state_kept

_TINY = 1e-30


class Damage:
    """Measures plans: how much the loss rises, or how far the outputs move.

    With a loss, the mean over the batches of loss(masked) - loss(dense): negative where the
    masked model is better. Without, the mean of the squared change of all outputs over their
    squared size: 0 where nothing changes, 1 where all outputs are zero.

    The model runs in evaluation mode and without gradients, and is as it was after each call.
    The batches are read once and held, so every plan sees the same.

    Args:
        model: The dense model.
        data: Batches (inputs, targets).
        loss: loss(outputs, targets); targets are not needed without it.
        batches: Read at most so many.

    Raises:
        DataError: There is no batch, or one is not finite.

    Cost: one pass over the data, and one for each plan.

    Example:
        >>> from prunus.records import Kept
        >>> model = nn.Linear(2, 1, bias=False)
        >>> _ = nn.init.constant_(model.weight, 3.0)
        >>> damage = Damage(model, [(torch.tensor([[1.0, 1.0]]), None)])
        >>> kept = Kept.of(torch.tensor([True, False]))
        >>> damage(Plan("weight", {"weight": kept}, {}))
        0.25
    """

    def __init__(
        self,
        model: nn.Module,
        data: Iterable[Any],
        *,
        loss: Loss | None = None,
        batches: int | None = None,
    ) -> None:
        self._model = model
        self._loss = loss
        with _running(model):
            pairs = list(checked(islice(data, batches), device=device_of(model)))
            self._batches: Sequence[tuple[Inputs, Any]] = pairs
            self._dense = [self._seen(*pair) for pair in pairs]

    def __call__(self, plan: Plan) -> float:
        """Return how much worse the model is under `plan`."""
        with _running(self._model), Masked(self._model, plan):
            worse = [
                self._change(dense, self._seen(*pair))
                for dense, pair in zip(self._dense, self._batches, strict=True)
            ]
        return sum(worse) / len(worse)

    def _seen(self, inputs: Inputs, targets: Any) -> list[Tensor]:
        """Return what is compared: the loss, or else every output that is a floating number."""
        outputs = call(self._model, inputs)
        if self._loss is not None:
            return [loss_of(self._loss, outputs, targets).detach().double()]
        return [each.detach().double() for each in tensors_in(outputs) if each.is_floating_point()]

    def _change(self, dense: Sequence[Tensor], masked: Sequence[Tensor]) -> float:
        if self._loss is not None:
            return float(masked[0] - dense[0])
        moved = sum(float((a - b).square().sum()) for a, b in zip(dense, masked, strict=True))
        return moved / max(sum(float(each.square().sum()) for each in dense), _TINY)


@contextmanager
def _running(model: nn.Module) -> Iterator[None]:
    with random_state_kept(model), mode(model, training=False), torch.no_grad():
        yield
