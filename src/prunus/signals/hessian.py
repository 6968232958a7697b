"""The diagonal of the Hessian of the loss, estimated from products of the Hessian with vectors.

A product costs a second backward pass, through the gradient; the Hessian itself is never formed.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import Node
from torch.nn.attention import SDPBackend, sdpa_kernel

from prunus.errors import CriterionError
from prunus.signals.gradients import gradients_of
from prunus.signals.passes import Named, batches_of, left_as_it_was, means
from prunus.signals.signal import Request, Signal, Values


@dataclass(frozen=True, kw_only=True)
class Hutchinson:
    """Collects the mean of v * (H v) over random signs v, whose expectation is the diagonal of H.

    H is the Hessian of the mean loss over the batches, by the scored parameters. Signs are drawn
    anew for each batch and probe, so that more data lower the noise as well. Where H is diagonal
    one probe is exact; else the variance of an entry is the sum of the squares of the other
    entries of its row, over the number of probes.

    Args:
        probes: Sign vectors per batch.
        seed: Of the signs.

    Cost: Per batch one forward and one backward pass, and per probe one more backward pass of
        about twice the time, with the activations of a batch kept in between. Memory: 4 bytes per
        scored weight, and that of about three gradients.

    Source: Hutchinson, "A Stochastic Estimator of the Trace of the Influence Matrix", 1989; for
        the diagonal Bekas et al., "An estimator for the diagonal of a matrix", 2007.

    Raises:
        CriterionError: An operator of the model has no second derivative, or as
            `collect_gradients`.
        DataError: As `collect_gradients`.
    """

    probes: int
    seed: int

    def __call__(self, request: Request) -> Values:
        """Return the one signal of `request`."""
        (signal,) = request.signals
        generator = torch.Generator().manual_seed(self.seed)
        number = 0
        with twice_differentiable(request):
            sums = {
                name: torch.zeros_like(parameter, dtype=torch.float32, requires_grad=False)
                for name, parameter in request.parameters.items()
            }
            for number, inputs, targets in batches_of(request):
                gradients = gradients_of(request, inputs, targets, number, create_graph=True)
                for _ in range(self.probes):
                    signs = {name: _signs(like, generator) for name, like in sums.items()}
                    for name, product in hessian_product(request, gradients, signs).items():
                        sums[name] += signs[name] * product
        return {signal: means(signal, sums, number * self.probes)}


def hessian_diagonal(*, probes: int, seed: int) -> Signal:
    """Return the signal `hessian_UF`. Signals of the same arguments are equal."""
    return Signal(
        name="hessian_UF",
        meaning="diagonal of the Hessian of the mean loss over the data",
        per="member",
        collector=Hutchinson(probes=probes, seed=seed),
        requires=("data", "loss"),
    )


@contextmanager
def twice_differentiable(request: Request) -> Iterator[None]:
    """Ready the model for passes with two backward passes; leave it as it was."""
    # Fused attention has no second derivative; that of plain matrix products does the same.
    with left_as_it_was(request), sdpa_kernel(SDPBackend.MATH):
        yield


def hessian_product(request: Request, gradients: Named, vectors: Named) -> Named:
    """Return the product of the Hessian with `vectors`; the graph of `gradients` is kept.

    Args:
        request: What is collected.
        gradients: By parameter, made with `create_graph=True`.
        vectors: By parameter and in its shape; constants.

    Raises:
        CriterionError: An operator of the model has no second derivative.
    """
    curved = [name for name, gradient in gradients.items() if gradient.requires_grad]
    if not curved:  # the loss is linear in all parameters
        return {name: torch.zeros_like(vector) for name, vector in vectors.items()}
    _check_whole(gradients[name] for name in curved)
    try:
        products = torch.autograd.grad(
            [gradients[name] for name in curved],
            list(request.parameters.values()),
            grad_outputs=[vectors[name].to(gradients[name].dtype) for name in curved],
            retain_graph=True,
            allow_unused=True,
        )
    except RuntimeError as error:
        if "is not implemented" not in str(error):
            raise
        raise _once_only(str(error).splitlines()[0]) from error
    return {
        name: torch.zeros_like(vectors[name]) if product is None else product.to_dense()
        for name, product in zip(request.parameters, products, strict=True)
    }


def _check_whole(gradients: Iterable[Tensor]) -> None:
    """Raise where a custom function ends the graph: autograd would take its derivative for 0."""
    pending: list[Node | None] = [gradient.grad_fn for gradient in gradients]
    seen: set[Node] = set()
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        if node.name() == "torch::autograd::Error":
            raise _once_only("a function of the model is marked once_differentiable")
        seen.add(node)
        pending += [following for following, _ in node.next_functions]


def _once_only(why: str) -> CriterionError:
    return CriterionError(
        "the loss cannot be differentiated twice",
        why=why,
        hint="use a criterion of first derivatives, such as fisher or taylor",
    )


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return +1 and -1, drawn on the CPU so that every device gets the same."""
    signs = torch.randint(2, like.shape, generator=generator, dtype=torch.float32)
    return signs.mul_(2).sub_(1).to(like.device)
