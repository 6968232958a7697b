"""The product of the Hessian of the loss with its gradient: how to make the gradient larger."""

from dataclasses import replace

import torch

from prunus.signals.gradients import GRADIENT, collect_gradients, gradients_of
from prunus.signals.hessian import hessian_product, twice_differentiable
from prunus.signals.passes import batches_of, means
from prunus.signals.signal import Request, Signal, Values


def collect_hessian_gradient(request: Request) -> Values:
    """Return H g: half the gradient of the squared norm of g, the gradient of the mean loss.

    Both H and g are means over all batches and by the scored parameters alone. The data are read
    twice: first for g, then for its product with the Hessian of each batch. `request.progress` is
    told of both passes, one after the other.

    Cost: Two forward and two backward passes and one backward pass through the gradient, of about
        twice the time. Memory: 8 bytes per scored weight, and that of about three gradients.

    Raises:
        CriterionError: An operator of the model has no second derivative, or as
            `collect_gradients`.
        DataError: As `collect_gradients`; data that can be read only once are empty the second
            time.
    """
    first = collect_gradients(replace(request, signals=frozenset({GRADIENT})))[GRADIENT]
    number = 0
    with twice_differentiable(request):
        sums = {name: torch.zeros_like(gradient) for name, gradient in first.items()}
        for number, inputs, targets in batches_of(request):
            gradients = gradients_of(request, inputs, targets, number, create_graph=True)
            for name, product in hessian_product(request, gradients, first).items():
                sums[name] += product
    return {HESSIAN_GRADIENT: means(HESSIAN_GRADIENT, sums, number)}


HESSIAN_GRADIENT = Signal(
    name="hessian_grad_UF",
    meaning="product of the Hessian of the mean loss over the data with its gradient",
    per="member",
    collector=collect_hessian_gradient,
    requires=("data", "loss"),
)
