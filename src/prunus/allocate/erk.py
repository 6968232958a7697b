"""Erdos-Renyi-Kernel: small layers stay denser than large ones."""

from dataclasses import dataclass
from math import exp, fsum, log
from typing import final

from prunus.allocate.base import Allocator, Counts, Problem
from prunus.allocate.layers import in_weights, shapes_of
from prunus.records import Group


@final
@dataclass(frozen=True, kw_only=True)
class ERK(Allocator):
    """A layer keeps a share of its weights in proportion to sum(shape) / prod(shape).

    For a kernel (n_out, n_in, h, w) that is (n_in + n_out + h + w) / (n_in n_out h w); for a
    matrix (n_in + n_out) / (n_in n_out). A share above one becomes one, and the others take up
    what is left.

    Scores are compared inside a group only. Reads no data and no scores to share out.

    At equal sparsity it costs about twice the MACs of `Uniform`, since the layers that it spares
    are the early ones with large images: compare at equal MACs.

    Where units are removed, a layer keeps the product of the shares of its two ends. Each end
    takes the square root of the layer's density, and a group the geometric mean over the layers
    that it is an end of. This is ours: the paper speaks of single weights.

    Source: Mocanu et al. 2018, arXiv:1707.04780, for matrices; Evci et al. 2020,
    arXiv:1911.11134, for kernels.

    Raises:
        BudgetError: The shapes of the weights are not known.

    Example: matrices of 4 x 4 and 4 x 12 have densities 8/16 and 16/48, that is 3 to 2. With 24
    of their 64 weights to keep, they keep 8 and 16: shares of 1/2 and 1/3.
    """

    def counts(self, problem: Problem) -> Counts:
        """Return the units kept per group."""
        shapes_of(problem, asked_by=self)
        density = {name: self._density(group, problem) for name, group in problem.free.items()}
        return problem.remove_lowest(within=lambda group: group.name, density=density)

    def _density(self, group: Group, problem: Problem) -> float:
        logs = [
            log(_layer_density(problem.weights[member.tensor])) / (1 if member.dim is None else 2)
            for member in in_weights(group, problem)
        ]
        return exp(fsum(logs) / len(logs)) if logs else 1.0


def _layer_density(shape: tuple[int, ...]) -> float:
    density = fsum(shape)
    for size in shape:
        density /= size
    return density
