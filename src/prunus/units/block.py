"""Blocks of weights that go together."""

from prunus.records import Graph, Groups
from prunus.units import tiles
from prunus.units.tiles import Tiling


def tilings(graph: Graph, rows: int, columns: int) -> tuple[dict[str, Tiling], dict[str, str]]:
    """Return the blocks of each weight: `rows` output by `columns` input channels.

    Of a convolution, blocks lie at each position of the kernel.
    """
    return tiles.tilings(graph, rows=rows, columns=columns)


def groups(graph: Graph, rows: int, columns: int) -> Groups:
    """Return a group of weights per matrix and kernel.

    Frozen are those that blocks do not cover without a rest: kernels that skip blocks want whole
    ones.
    """
    return tiles.groups(graph, tilings(graph, rows, columns)[1])
