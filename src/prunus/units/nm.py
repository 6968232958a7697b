"""N of every M weights: what sparse tensor cores and their like can run."""

from prunus.records import Graph, Groups
from prunus.units import tiles
from prunus.units.tiles import Tiling


def tilings(graph: Graph, n: int, m: int) -> tuple[dict[str, Tiling], dict[str, str]]:
    """Return the slots of each weight: runs of `m` inputs of one output, of which `n` stay.

    Runs lie along input channels, at each position of a kernel: the axis along which sparse matrix
    products want them. Along another axis, such as the kernel's, no hardware is faster.

    Source: Mishra et al., "Accelerating Sparse Deep Neural Networks", 2021, arXiv:2104.08378.
    """
    return tiles.tilings(graph, rows=1, columns=m, keep=n)


def groups(graph: Graph, n: int, m: int) -> Groups:
    """Return a group of weights per matrix and kernel.

    Frozen are those whose input channels are no multiple of `m`.
    """
    return tiles.groups(graph, tilings(graph, n, m)[1])
