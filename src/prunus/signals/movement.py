"""Movement: whether fine-tuning drives each weight away from zero or towards it."""

from dataclasses import dataclass, replace

import torch

from prunus.errors import CriterionError, DataError
from prunus.signals.gradients import gradients_of
from prunus.signals.passes import Named, batches_of, left_as_it_was
from prunus.signals.signal import Request, Signal, Values
from prunus.signals.weights import is_finite
from prunus.trace.restore import copy_of


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """Collects -lr * g * w, added up over the steps of a fine-tuning of a copy of the model.

    Each batch is one step of plain stochastic gradient descent on the scored parameters, in
    evaluation mode: dropout is off, and batch norms use and keep their statistics. To first order
    in lr the sum is half of how much w ** 2 grew. The model itself is left as it is.

    Args:
        lr: Learning rate.
        epochs: Passes over the data; `request.progress` is told of each by itself.

    Cost: A forward and a backward pass per batch and epoch. Memory: a copy of the model and 4
        bytes per scored weight; and, as in training, the gradients and activations of one batch.

    Raises:
        CriterionError: The weights diverge, or as `collect_gradients`.
        DataError: As `collect_gradients`.
    """

    lr: float
    epochs: int

    def __call__(self, request: Request) -> Values:
        """Return the one signal of `request`."""
        (signal,) = request.signals
        with torch.inference_mode(mode=False):
            model = copy_of(request.model)
            named = dict(model.named_parameters())
            parameters = {name: named[name] for name in request.parameters}
            tuned = replace(request, model=model, parameters=parameters)
            sums = {
                name: torch.zeros_like(weight, dtype=torch.float32, requires_grad=False)
                for name, weight in parameters.items()
            }
            with left_as_it_was(tuned):
                for epoch in range(self.epochs):
                    self._epoch(tuned, sums, first=epoch == 0)
        return {signal: sums}

    def _epoch(self, request: Request, sums: Named, *, first: bool) -> None:
        for number, inputs, targets in batches_of(request):
            try:
                gradients = gradients_of(request, inputs, targets, number)
            except DataError as error:
                if first and number == 1:  # before any step
                    raise
                raise self._diverged(error.what) from error
            with torch.no_grad():
                for name, weight in request.parameters.items():
                    step = gradients[name] * -self.lr
                    sums[name].add_(step * weight)
                    weight.add_(step)
                    if not is_finite(sums[name]):
                        raise self._diverged(f"'{name}' is not finite after batch {number}")

    def _diverged(self, what: str) -> CriterionError:
        return CriterionError(
            f"fine-tuning with lr={self.lr:g} failed: {what}",
            why="the model is sound and so are the data, so the steps are too large",
            hint=f"lower it: Movement(lr={self.lr / 10:g})",
        )


def movement(*, lr: float, epochs: int) -> Signal:
    """Return the signal `movement_UF`. Signals of the same arguments are equal."""
    return Signal(
        name="movement_UF",
        meaning="sum over the steps of a fine-tuning of -lr * gradient * weight",
        per="member",
        collector=FineTuning(lr=lr, epochs=epochs),
        requires=("data", "loss"),
    )
