"""Tiles: how the weights of one tensor are laid out where they go together, or compete.

A weight is seen as a matrix with a row per output. Along a row lie the inputs; of a convolution,
all channels of the first kernel position, then of the next: the layout in which runtimes multiply
it. The matrix is covered by tiles of a few rows and columns.

Legend: O outputs, I inputs of one output, T tiles, F weights of a tile.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod

from torch import Tensor

from prunus.records import Graph, Groups
from prunus.units import weight


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """The tiles of one weight tensor.

    Attributes:
        shape: Of the tensor.
        output_dim: The dim of its outputs, 0 or 1; the other of the two is that of its inputs.
        rows: Outputs that a tile spans.
        columns: Inputs that a tile spans.
        keep: How many weights of each tile stay; None where a tile stays or goes as a whole.

    Example:
        >>> tiling = Tiling(shape=(2, 4), output_dim=0, rows=2, columns=2)
        >>> tiling.tiles(torch.arange(8).view(2, 4)).tolist()
        [[0, 1, 4, 5], [2, 3, 6, 7]]
    """

    shape: tuple[int, ...]
    output_dim: int
    rows: int
    columns: int
    keep: int | None = None

    @property
    def area(self) -> int:
        """Number of weights in a tile."""
        return self.rows * self.columns

    @property
    def size(self) -> int:
        """Number of weights in all tiles."""
        return prod(self.shape)

    def tiles(self, values: Tensor) -> Tensor:
        """Return what belongs to each tile, (T, F), of a value per weight in row-major order."""
        matrix_OI = values.reshape(self.shape).movedim(self._from_matrix, self._to_matrix)
        blocks = matrix_OI.reshape(*self._grid).transpose(1, 2)
        return blocks.reshape(-1, self.area)

    def weights(self, tiles_TF: Tensor) -> Tensor:
        """Return a value per weight, in row-major order, of what belongs to each tile."""
        outputs, rows, inputs, columns = self._grid
        matrix = tiles_TF.reshape(outputs, inputs, rows, columns).transpose(1, 2)
        kernel, sizes = self.shape[2:], self.shape[:2]
        whole = matrix.reshape(sizes[self.output_dim], *kernel, sizes[1 - self.output_dim])
        return whole.movedim(self._to_matrix, self._from_matrix).reshape(-1)

    @property
    def _from_matrix(self) -> tuple[int, int]:
        return (self.output_dim, 1 - self.output_dim)

    @property
    def _to_matrix(self) -> tuple[int, int]:
        return (0, len(self.shape) - 1)

    @property
    def _grid(self) -> tuple[int, int, int, int]:
        outputs = self.shape[self.output_dim]
        inputs = self.size // outputs
        return (outputs // self.rows, self.rows, inputs // self.columns, self.columns)


def tilings(
    graph: Graph, *, rows: int, columns: int, keep: int | None = None
) -> tuple[dict[str, Tiling], dict[str, str]]:
    """Return the tiling of each weight that tiles of this size cover, and why others have none."""
    tiled, reasons = {}, {}
    groups = dict(_convolutions(graph))
    for name in weight.groups(graph):
        shape, output_dim = graph.tensors[name].shape, graph.output_dims[name]
        if len(shape) > 2 and name not in groups:
            reasons[name] = "no matrix: it has more than two dims and no convolution reads it"
            continue
        sizes = list(shape[:2])
        sizes[0] //= groups.get(name, 1)  # of a grouped convolution, no tile lies in two groups
        outputs, inputs = sizes[output_dim], sizes[1 - output_dim]
        if inputs % columns:
            reasons[name] = f"its {inputs} input channels are not a multiple of {columns}"
        elif outputs % rows:
            reasons[name] = f"its {outputs} output channels are not a multiple of {rows}"
        else:
            tiled[name] = Tiling(
                shape=shape, output_dim=output_dim, rows=rows, columns=columns, keep=keep
            )
    return tiled, reasons


def groups(graph: Graph, reasons: Mapping[str, str]) -> Groups:
    """Return a group of weights per tensor, frozen where `reasons` names it."""
    return {
        name: replace(group, frozen_because=reasons.get(name))
        for name, group in weight.groups(graph).items()
    }


def _convolutions(graph: Graph) -> Iterator[tuple[str, int]]:
    """Yield each weight of a convolution, and the number of its groups."""
    for operator in graph.operators:
        if operator.name == "convolution":
            kernel = operator.inputs[1]
            if kernel is not None and kernel.name is not None:
                yield kernel.name, operator.arguments["groups"]
