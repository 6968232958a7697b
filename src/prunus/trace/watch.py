"""See the sizes that the user's Python passes to PyTorch, and who supplied them.

ATen operators only get plain ints. One level above, in the Python call, a size is still the
`TaggedInt` that an attribute or a shape gave, or a plain int: a literal.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import mul
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from prunus.inputs import tensors_in
from prunus.trace.axes import Mismatch, Node, cut, freeze, mark_inexact, split
from prunus.trace.location import user_line
from prunus.trace.record import Recorder
from prunus.trace.sizes import Claim, DimSize, TaggedInt, bind, follows_the_inputs

Handler: TypeAlias = Callable[["SizeWatcher", Sequence[Any], dict[str, Any], Any], None]
HANDLERS: dict[Any, Handler] = {}


def handles(*functions: Any) -> Callable[[Handler], Handler]:
    """Register what to look at in a call of these functions, after it returned."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(functions, handler))
        return handler

    return register


class SizeWatcher(TorchFunctionMode):
    """Binds the sizes in Python calls to the dims that they size; without `tags` it only looks."""

    def __init__(self, recorder: Recorder, *, tags: bool = True) -> None:
        super().__init__()
        self.recorder = recorder
        self.tags = tags
        self.claims: list[Claim] = []

    def nodes(self, tensor: Tensor) -> tuple[Node, ...]:
        """Return the extent of each dim."""
        return self.recorder.dims_of(tensor).nodes

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function; give shapes with their origin; look at the sizes passed."""
        kwargs = kwargs or {}
        if self.tags and (func == _SHAPE or func is Tensor.size):
            shape = self._shape(args[0])
            dim = args[1] if len(args) > 1 else kwargs.get("dim")
            return shape if dim is None or func == _SHAPE else shape[dim]
        if self.tags and func in _COUNTS:
            return reduce(mul, self._shape(args[0]), 1)
        result = func(*args, **kwargs)
        handler = HANDLERS.get(func) or _OPERATORS.get(str(func))
        if handler is None:
            _numbers_in((*args, *kwargs.values()))
        else:
            handler(self, args, kwargs, result)
        return result

    def bind(self, size: int, node: Node) -> None:
        """Note that `size`, as the user's code wrote it, sizes `node`."""
        if self.tags and size not in (-1, 1):  # -1 is worked out by PyTorch
            self.claims.append(bind(size, node))

    def bind_all(self, sizes: Sequence[Any], nodes: Sequence[Node]) -> None:
        """Bind each size to the node at its place."""
        if len(sizes) == len(nodes):
            for size, node in zip(sizes, nodes, strict=True):
                if isinstance(size, int):
                    self.bind(size, node)

    def bind_border(self, border: int, node: Node) -> None:
        """A slice begins or ends `border` positions from the start (or end) of `node`."""
        whole = node.find().size
        at = border + whole if border < 0 else int(border)
        if not 0 < at < whole:
            return
        if follows_the_inputs(border):
            freeze(node, f"sliced by a size of the inputs at {user_line()}")
            return
        try:
            head, tail = cut(node, at)
        except Mismatch:
            freeze(node, f"sliced at {int(border)} at {user_line()}")
            return
        self.bind(border, head) if border > 0 else self.bind(-border, tail)

    def bind_groups(self, groups: int, channels: Node) -> None:
        """The number of groups is the outer factor of the channels."""
        if groups > 1:
            try:
                outer, _ = split(channels, groups)
            except Mismatch as mismatch:
                freeze(channels, f"groups at {user_line()}: {mismatch}")
                return
            self.bind(groups, outer)

    def _shape(self, tensor: Tensor) -> torch.Size:
        with torch._C.DisableTorchFunction():
            shape = tensor.shape
        nodes = self.nodes(tensor)
        origins = (DimSize(node, self.claims) for node in nodes)
        return torch.Size(
            TaggedInt(size, origin) for size, origin in zip(shape, origins, strict=True)
        )


_SHAPE = Tensor.shape.__get__  # type: ignore[attr-defined]
_COUNTS = (Tensor.numel, Tensor.nelement, torch.numel)


def _numbers_in(values: Sequence[Any]) -> None:
    """Sizes that a function takes for something else enter the computation, as in x / n."""
    for value in values:
        if isinstance(value, TaggedInt):
            value.origin.used_as_number(user_line())
        elif isinstance(value, (tuple, list)):
            _numbers_in(value)


def _listed(values: Sequence[Any]) -> Sequence[Any]:
    """Sizes are given one by one or as one sequence."""
    return values[0] if len(values) == 1 and isinstance(values[0], (tuple, list)) else values


@handles(
    Tensor.view, Tensor.reshape, torch.reshape, Tensor.expand, torch.broadcast_to,
    Tensor.broadcast_to, Tensor.new_zeros, Tensor.new_ones, Tensor.new_empty,
)  # fmt: skip
def _sizes_after_a_tensor(
    watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> None:
    given = args[1:] or [kwargs[name] for name in ("size", "shape") if name in kwargs]
    watcher.bind_all(_listed(given), watcher.nodes(result))


@handles(torch.full, Tensor.new_full)
def _size_and_value(
    watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> None:
    sizes = [value for value in (*args, *kwargs.values()) if isinstance(value, (tuple, list))]
    watcher.bind_all(sizes[0], watcher.nodes(result))
    _numbers_in([value for value in (*args, *kwargs.values()) if value is not sizes[0]])


@handles(torch.histc, Tensor.histc)
def _bins(watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> None:
    bins = args[1] if len(args) > 1 else kwargs.get("bins", 100)
    watcher.bind(bins, watcher.nodes(result)[0])
    _numbers_in([*args[2:], *(value for name, value in kwargs.items() if name != "bins")])


@handles(torch.zeros, torch.ones, torch.empty, torch.rand, torch.randn)
def _sizes_alone(
    watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> None:
    watcher.bind_all(_listed(args or [kwargs["size"]]), watcher.nodes(result))


@handles(Tensor.unflatten, torch.unflatten)
def _unflatten(
    watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> None:
    dim = args[1] if len(args) > 1 else kwargs["dim"]
    sizes = args[2] if len(args) > 2 else kwargs["sizes"]
    start = int(dim) % args[0].dim()
    watcher.bind_all(sizes, watcher.nodes(result)[start : start + len(sizes)])


@handles(torch.split, Tensor.split, torch.split_with_sizes, Tensor.split_with_sizes)
def _split(watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> None:
    given = args[1] if len(args) > 1 else kwargs["split_sizes"]
    dim = args[2] if len(args) > 2 else kwargs.get("dim", 0)
    sizes = [given] * len(result) if isinstance(given, int) else given
    for size, piece in zip(sizes, result, strict=True):
        if piece.shape[dim] == size:
            watcher.bind(size, watcher.nodes(piece)[dim])


@handles(torch.narrow, Tensor.narrow)
def _narrow(watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> None:
    given = dict(zip(("input", "dim", "start", "length"), args, strict=False)) | kwargs
    start, length = given["start"], given["length"]
    node = watcher.nodes(given["input"])[given["dim"]]
    watcher.bind(length, watcher.nodes(result)[given["dim"]])
    watcher.bind_border(start, node)
    watcher.bind_border(start + length, node)


@handles(Tensor.__getitem__)
def _getitem(
    watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> None:
    source, key = args
    items = key if isinstance(key, tuple) else (key,)
    _numbers_in(items)
    consumed = sum(map(_dims_taken, items))
    dim = 0
    for item in items:
        if item is Ellipsis:
            dim += source.dim() - consumed
        elif isinstance(item, slice):
            node = watcher.nodes(source)[dim]
            # With a stride the borders of the whole dim are all that the rule allows.
            for border in (item.start, item.stop) if item.step is None else ():
                if isinstance(border, int):
                    watcher.bind_border(border, node)
        dim += _dims_taken(item)


def _dims_taken(item: Any) -> int:
    """Number of dims that one item of an index takes up."""
    if item is None or item is Ellipsis or isinstance(item, bool):
        return 0
    return item.dim() if isinstance(item, Tensor) and item.dtype == torch.bool else 1


@handles(functional.layer_norm, torch.layer_norm, functional.rms_norm, torch.rms_norm)
def _normalized_shape(
    watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> None:
    shape = args[1] if len(args) > 1 else kwargs["normalized_shape"]
    watcher.bind_all(shape, watcher.nodes(result)[-len(shape) :])


@handles(functional.group_norm, torch.group_norm)
def _num_groups(
    watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> None:
    groups = args[1] if len(args) > 1 else kwargs["num_groups"]
    watcher.bind_groups(groups, watcher.nodes(result)[1])


def _conv_groups(place: int) -> Handler:
    def handler(
        watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any
    ) -> None:
        groups = args[place] if len(args) > place else kwargs.get("groups", 1)
        watcher.bind_groups(groups, watcher.nodes(result)[-weight_rank(args, kwargs) + 1])

    return handler


def weight_rank(args: Sequence[Any], kwargs: dict[str, Any]) -> int:
    """Number of dims of the weight in a call of a convolution."""
    weight = args[1] if len(args) > 1 else kwargs["weight"]
    return int(weight.dim())


handles(torch.conv1d, torch.conv2d, torch.conv3d)(_conv_groups(6))
handles(torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)(_conv_groups(6))


@handles(torch.repeat_interleave, Tensor.repeat_interleave)
def _repeat_interleave(
    watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> None:
    given = dict(zip(("input", "repeats", "dim"), args, strict=False)) | kwargs
    repeats = given.get("repeats")
    if isinstance(repeats, int) and repeats > 1:
        node = watcher.nodes(result)[given.get("dim") or 0]
        watcher.bind(repeats, split(node, node.size // repeats)[1])


@handles(torch.native_channel_shuffle)
def _channel_shuffle(
    watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> None:
    given = dict(zip(("input", "groups"), args, strict=False)) | kwargs
    watcher.bind_groups(given["groups"], watcher.nodes(given["input"])[1])


@handles(functional.affine_grid)
def _affine_grid(
    watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> None:
    """The number of channels plays no part in it."""
    batch, _, *space = args[1] if len(args) > 1 else kwargs["size"]
    watcher.bind_all((batch, *space), watcher.nodes(result)[:-1])


def _deformable(
    watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> None:
    """torchvision works out its groups from shapes; those of places are fixed by their rule."""
    *settings, groups, _, _ = args
    _numbers_in(settings)
    watcher.bind_groups(groups, watcher.nodes(result)[1])


# Operators called by name; they need not be installed.
_OPERATORS: dict[str, Handler] = {"torchvision.deform_conv2d": _deformable}


@handles(Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.__len__)
def _leaves_the_tensors(
    watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> None:
    """What becomes of plain numbers cannot be seen."""
    nodes = watcher.nodes(args[0])
    for node in nodes[:1] if isinstance(result, int) else nodes:
        freeze(node, f"is read as plain numbers at {user_line()}")


@handles(functional.multi_head_attention_forward)
def _multi_head_attention(
    watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> None:
    """It works out all sizes by itself, where they cannot be seen."""
    for tensor in tensors_in((args, kwargs)):
        for node in watcher.nodes(tensor):
            freeze(node, f"multi_head_attention_forward sizes it at {user_line()}")


@handles(functional.scaled_dot_product_attention)
def _attention_scale(
    watcher: SizeWatcher, args: Sequence[Any], kwargs: dict[str, Any], result: Any
) -> None:
    """PyTorch works the scale out of the width where none is given, however it then goes on."""
    if kwargs.get("scale") is None:
        query = args[0] if args else kwargs["query"]
        reason = f"the scale of the scores follows the width, at {user_line()}"
        mark_inexact(watcher.nodes(query)[-1], reason)
