"""Which layers become one where nothing is left between them, and what that saves."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from prunus.cost.macs import terms_of
from prunus.cost.model import CostModel
from prunus.links import Fold, Link, Window
from prunus.records import Graph, Groups


@dataclass(frozen=True)
class Layer:
    """A linear layer or convolution, or several that became one.

    Attributes:
        inner: Channels that it reads.
        outer: Channels that it makes.
        window: How it moves.
        inexact_because: Why it differs at the borders from the several; empty where it does not.
    """

    inner: int
    outer: int
    window: Window
    inexact_because: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its weight."""
        return self.outer, self.inner // self.window.groups, *self.window.kernel


def joined(first: Layer, second: Layer) -> Layer | None:
    """Return the layer that computes second(first(x)), or None where there is none.

    Linear layers always have one. Convolutions have one too, which is as wide as both together;
    where the second pads with zeros, the one does not see them inside, and says that it differs
    at the borders.

    Example:
        >>> square = Window((3, 3), (1, 1), (0, 0), (1, 1))
        >>> joined(Layer(3, 8, square), Layer(8, 4, square)).shape
        (4, 3, 5, 5)
    """
    one, other = first.window, second.window
    dilation = _dilation(one, other)
    if len(one.kernel) != len(other.kernel) or dilation is None:
        return None
    padded = any(other.padding)
    if padded and not one.pointwise and {one.mode, other.mode} != {"zeros"}:
        return None
    border = "it pads with zeros inside" if padded and other.mode == "zeros" else ""
    window = Window(
        kernel=_each(one.kernel, one.stride, [size - 1 for size in other.kernel]),
        stride=tuple(a * b for a, b in zip(one.stride, other.stride, strict=True)),
        padding=_each(one.padding, one.stride, other.padding),
        dilation=dilation,
        groups=one.groups if one.groups == other.groups else 1,
        mode=other.mode if padded else one.mode,
    )
    return Layer(first.inner, second.outer, window, first.inexact_because or border)


def _each(start: Sequence[int], step: Sequence[int], number: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + b * c for a, b, c in zip(start, step, number, strict=True))


def _dilation(one: Window, other: Window) -> tuple[int, ...] | None:
    """Return the dilation of the two as one; None where there is none."""
    if prod(other.kernel) == 1 or {*one.dilation, *other.dilation} <= {1}:
        return one.dilation
    if prod(one.kernel) == 1 and {*one.stride} <= {1}:
        return other.dilation
    return None


# -- in a model -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """A layer in a chain: what it is, what lies in front of it, and what it costs."""

    link: Link
    layer: Layer
    macs: int
    norms: tuple[str, ...]
    straight: bool

    def macs_of(self, layer: Layer) -> int:
        """Return the multiply-adds of another layer that makes what this one makes."""
        return self.macs // prod(self.layer.shape) * prod(layer.shape)


def folds(graph: Graph, gone: Collection[str]) -> tuple[Fold, ...]:
    """Return the layers that become one when the activation functions `gone` are lines.

    Of all ways to join layers in a row that one with the fewest multiply-adds; where joining
    saves none they stay apart. More functions gone never cost more.

    Args:
        graph: From `trace`.
        gone: Names of modules.
    """
    found = []
    for chain in _chains(graph, frozenset(gone)):
        for first, last, layer in _best(chain):
            names = [chain[first].link.module]
            for place in chain[first + 1 : last + 1]:
                names += [*place.norms, place.link.module]
            because = layer.inexact_because and (
                f"the padding inside {' + '.join(names)} held zeros at the borders, which the one "
                "layer that they became does not see"
            )
            shapes = tuple(graph.tensors[f"{name}.weight"].shape for name in names)
            found.append(Fold(tuple(names), shapes, because))
    return tuple(found)


def layer_of(fold: Fold, windows: Mapping[str, Window | None]) -> Layer:
    """Return what the layers of a fold become."""
    result: Layer | None = None
    for name, shape in zip(fold.modules, fold.shapes, strict=True):
        window = windows.get(name)
        if window is not None:
            layer = Layer(shape[1] * window.groups, shape[0], window)
            result = layer if result is None else joined(result, layer)
    assert result is not None, "a fold begins with a layer, and its layers can be joined"
    return result


def _chains(graph: Graph, gone: frozenset[str]) -> Iterator[list[_Place]]:
    """Yield layers in a row, between which there are only norms, and functions that are gone."""
    links = {link.module: link for link in graph.links}
    behind: dict[str, _Place] = {}
    starts = []
    for link in graph.links:
        if not _is_free(link) or link.role != "layer":
            continue
        front, norms, straight = _front(graph, links, link, gone)
        weight = graph.tensors[f"{link.module}.weight"].shape
        assert link.window is not None
        layer = Layer(weight[1] * link.window.groups, weight[0], link.window)
        place = _Place(link, layer, _macs(graph, link), norms, straight)
        if front is None:
            starts.append(place)
        else:
            behind[front.module] = place
    for start in starts:
        chain = [start]
        while (following := behind.get(chain[-1].link.module)) is not None:
            chain.append(following)
        yield chain


def _is_free(link: Link) -> bool:
    return link.held_because is None and (link.role != "layer" or link.window is not None)


def _front(
    graph: Graph, links: Mapping[str, Link], link: Link, gone: frozenset[str]
) -> tuple[Link | None, tuple[str, ...], bool]:
    """Return the layer in front, the norms between, and whether a function that is gone is."""
    norms: list[str] = []
    straight = False
    while link.before is not None:
        link = links[link.before]
        if link.role == "layer" and _is_free(link):
            assert link.window is not None
            ranks = [len(_given(graph, links[name])) for name in norms]
            fits = all(rank == 2 + len(link.window.kernel) for rank in ranks)
            return (link if fits else None), tuple(reversed(norms)), straight
        if link.role == "norm" and link.held_because is None:
            norms.append(link.module)
        elif link.module in gone:
            straight = True
        elif link.role != "identity" or link.held_because is not None:
            break
    return None, (), False


def _given(graph: Graph, link: Link) -> tuple[int, ...]:
    ran = graph.operators[slice(*link.ran)]
    return max((v.shape for each in ran for v in each.inputs[:1] if v is not None), key=len)


def _macs(graph: Graph, link: Link) -> int:
    return sum(
        coefficient * prod(extent.size for extent in extents)
        for operator in graph.operators[slice(*link.ran)]
        for coefficient, extents in terms_of(operator)
    )


def _best(chain: Sequence[_Place]) -> Iterator[tuple[int, int, Layer]]:
    """Yield which layers to join, (first, last, what they become), from the last to the first."""
    least = [0]  # the multiply-adds of the layers in front of each
    chosen: list[tuple[int, Layer]] = []
    joins = _joins(chain)
    for last, place in enumerate(chain):
        best, first, layer = least[last] + place.macs, last, place.layer
        for start, candidate in joins.get(last, ()):
            macs = least[start] + place.macs_of(candidate)
            if macs < best:
                best, first, layer = macs, start, candidate
        least.append(best)
        chosen.append((first, layer))
    last = len(chain) - 1
    while last >= 0:
        first, layer = chosen[last]
        if first < last:
            yield first, last, layer
        last = first - 1


def _joins(chain: Sequence[_Place]) -> Mapping[int, list[tuple[int, Layer]]]:
    """Return, for each last layer, from which on it can be joined, and what they become."""
    found: defaultdict[int, list[tuple[int, Layer]]] = defaultdict(list)
    for start, place in enumerate(chain):
        layer, straight = place.layer, False
        for last in range(start + 1, len(chain)):
            further = joined(layer, chain[last].layer)
            if further is None:
                break
            layer = further
            straight = straight or chain[last].straight
            if straight:
                found[last].append((start, layer))
    return found


# -- costs ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FoldedCosts:
    """Parameters, multiply-adds and bytes when the groups that keep no unit become lines.

    Attributes:
        dense: What the whole model costs.
        groups: The activation functions.
    """

    dense: CostModel
    groups: Groups
    _known: dict[frozenset[str], tuple[Fold, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def folds(self, gone: Collection[str]) -> tuple[Fold, ...]:
        """Return the layers that become one; see `folds`."""
        key = frozenset(gone)
        if key not in self._known:
            self._known[key] = folds(self.dense.graph, key)
        return self._known[key]

    def params(self, counts: Mapping[str, int]) -> int:
        """Return how many numbers the parameters hold."""
        added = self._added(counts, self.dense.graph.parameters)
        return self.dense.params({}) + sum(added.values())

    def macs(self, counts: Mapping[str, int]) -> int:
        """Return the multiply-adds of one forward pass."""
        links = {link.module: link for link in self.dense.graph.links}
        total = self.dense.macs({})
        for fold in self.folds(self._gone(counts)):
            own = [_macs(self.dense.graph, links[name]) for name in fold.modules]
            positions = own[-1] // prod(fold.shapes[-1])
            total += positions * prod(self._layer(fold).shape) - sum(own)
        return total

    def bytes(self, counts: Mapping[str, int]) -> int:
        """Return the bytes of all parameters and buffers that a file stores."""
        tensors = self.dense.graph.tensors
        stored = [name for name in tensors if name not in self.dense.transient]
        added = self._added(counts, stored)
        return self.dense.bytes({}) + sum(
            number * tensors[name].dtype.itemsize for name, number in added.items()
        )

    def _added(self, counts: Mapping[str, int], names: Collection[str]) -> dict[str, int]:
        """Return how many numbers tensors gain or lose; a new bias stands under its weight."""
        tensors = self.dense.graph.tensors
        gone = self._gone(counts)
        added: dict[str, int] = {}
        fold_of = {name: fold for fold in self.folds(gone) for name in fold.modules}
        emptied = {*fold_of, *gone}
        for name in names:
            if name.rpartition(".")[0] in emptied:
                added[name] = -prod(tensors[name].shape)
        for fold in self.folds(gone):
            layer = self._layer(fold)
            weight = f"{fold.modules[0]}.weight"
            added[weight] += prod(layer.shape) + layer.outer
        for name in self._bent(counts):
            group = self.groups[name]
            slopes = f"{name}.weight"
            key = slopes if slopes in tensors else f"{group.taken_up_by}.weight"
            own = prod(tensors[slopes].shape) if slopes in tensors else 0
            added[key] = added.get(key, 0) + group.size - own
        for group in (self.groups[name] for name in (*gone, *self._bent(counts))):
            front = group.taken_up_by
            if front not in emptied and f"{front}.bias" not in tensors:
                weight = f"{front}.weight"
                added[weight] = added.get(weight, 0) + tensors[weight].shape[0]
        return added

    def _layer(self, fold: Fold) -> Layer:
        return layer_of(fold, {link.module: link.window for link in self.dense.graph.links})

    def _bent(self, counts: Mapping[str, int]) -> list[str]:
        """Return the functions that become lines in some channels: slopes and biases stay."""
        free = (name for name in counts if self.groups[name].frozen_because is None)
        return [name for name in free if 0 < counts[name] < self.groups[name].size]

    def _gone(self, counts: Mapping[str, int]) -> list[str]:
        """Return the functions that become lines; one that cannot saves nothing."""
        free = (name for name in counts if self.groups[name].frozen_because is None)
        return [name for name in free if counts[name] == 0]
