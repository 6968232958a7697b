"""See, while a model runs, what every weight is multiplied with, and what comes out of it.

Below modules and functions there are few operators that multiply: matrix products and
convolutions. A mode of PyTorch sees each of them with its real tensors. A weight is known by the
memory that it lies in, so that it makes no difference whether a module, a function or the user's
own product reads it, whole, transposed or a slice at a time, under its own name or a tied one.

Legend: N places where a weight is read, K inputs and O outputs of a matrix; B items, C channels;
G groups of a convolution, I inputs of one output.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from prunus.inputs import call, tensors_in
from prunus.modes import mode
from prunus.signals.passes import batches_of, random_state_kept
from prunus.signals.signal import Request
from prunus.trace.call import is_composite
from prunus.trace.restore import as_it_was


@dataclass(frozen=True)
class Place:
    """Where in a parameter the tensor lies that an operator read: all of it, or a view.

    Attributes:
        parameter: Name of the parameter.
        shape: Of the view.
        stride: Of the view.
        offset: Of the view, from the parameter's first number.
    """

    parameter: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class Convolution:
    """How a convolution goes over its inputs: the arguments of the ATen operator."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool
    groups: int


@dataclass(frozen=True)
class Site:
    """Where a weight is multiplied: which part of it, and how.

    Attributes:
        place: What of the weight is read: a matrix (K, O), or the kernel of a convolution.
        convolution: None for a matrix.
    """

    place: Place
    convolution: Convolution | None = None

    def of_inputs(self, value_C: Tensor) -> Tensor:
        """Lay out one number per input (K,), or input channel (C,), in the shape of the weight.

        Nothing is copied but for grouped convolutions.
        """
        shape = self.place.shape
        if self.convolution is None:
            return value_C.unsqueeze(1).expand(shape)
        rest = [1] * (len(shape) - 2)
        if self.convolution.transposed:
            return value_C.view(-1, 1, *rest).expand(shape)
        return self.of_groups(value_C.view(self.convolution.groups, 1, shape[1], *rest))

    def of_groups(self, value: Tensor) -> Tensor:
        """(G, 1, I, ...) -> (G * O, I, ...), the same for all outputs of a group."""
        groups, shape = value.shape[0], self.place.shape
        return value.expand(groups, shape[0] // groups, *shape[1:]).reshape(shape)

    def of_outputs(self, value_C: Tensor) -> Tensor:
        """Lay out one number per output, or output channel, in the shape of the weight."""
        shape = self.place.shape
        if self.convolution is None:
            return value_C.expand(shape)
        rest = [1] * (len(shape) - 2)
        if not self.convolution.transposed:
            return value_C.view(-1, 1, *rest).expand(shape)
        return self.of_groups(value_C.view(self.convolution.groups, 1, shape[1], *rest))


@dataclass(frozen=True, eq=False)
class Reading:
    """One time that a weight was multiplied with something.

    Attributes:
        site: Which weight, and how.
        weight: Its numbers, in the shape of the site.
        inputs: What it was multiplied with: (N, K), or (B, C, ...) for a convolution.
    """

    site: Site
    weight: Tensor
    inputs: Tensor


class Observer(Protocol):
    """Whoever wants to know. The tensors are the model's own and must not be kept or written to."""

    def read(self, reading: Reading) -> None:
        """A weight was multiplied with something."""
        ...

    def made(self, makers: tuple[Site, ...], tensor: Tensor, dim: int) -> None:
        """What weights made, after the norms and functions that follow, is read by another.

        Args:
            makers: The weights; more than one where what they made was added up.
            tensor: What the other operator reads.
            dim: Where in it the outputs of the weights lie.
        """
        ...


def observe(request: Request, observer: Observer) -> None:
    """Run the model over the data of `request`, and tell `observer`.

    In evaluation mode and without gradients; the model is left as it was.
    """
    recurrent = any(isinstance(module, nn.RNNBase) for module in request.model.modules())
    with (
        as_it_was(request.model, buffers=True),
        random_state_kept(request.model),
        mode(request.model, training=False),
        torch.inference_mode(mode=False),
        torch.no_grad(),
        _unfused(recurrent=recurrent),
    ):
        for _, inputs, _ in batches_of(request):
            with _Watcher(request.parameters, observer):
                call(request.model, inputs)


@contextmanager
def _unfused(*, recurrent: bool) -> Iterator[None]:
    """Without the operators that hide a whole layer: of encoders, and of recurrent nets."""
    fast, one_dnn = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        torch._C._set_mkldnn_enabled(one_dnn and not recurrent)
        yield
    finally:
        torch._C._set_mkldnn_enabled(one_dnn)
        torch.backends.mha.set_fastpath_enabled(fast)


@dataclass
class _Made:
    """A tensor that weights made."""

    makers: tuple[Site, ...]
    dim: int
    told: bool = False


class _Watcher(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every ATen operator of one run."""

    def __init__(self, parameters: Mapping[str, Tensor], observer: Observer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.observer = observer
        self.lying: dict[int, list[tuple[str, int, int]]] = {}  # memory -> name, start, end
        for name, parameter in parameters.items():
            self._lies(parameter, name)
        self.copies: list[Tensor] = []  # kept until the end, so that none takes over their memory
        self.made = WeakTensorKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator, then look at it."""
        if is_composite(func):
            with self:
                return func.decompose(*args, **(kwargs or {}))
        name = func._schema.name.split("::")[1]
        carried = self._carried(func, name, args)
        result = func(*args, **(kwargs or {}))
        outputs = list(tensors_in(result))
        if name in _COPIES:
            self._follow_copy(args[0], outputs[0])
        found = list(self._readings(name, args))
        for reading, _ in found:
            self.observer.read(reading)
        if len(found) == 1:  # not the products of a batch of matrices, each of which makes a part
            reading, dim = found[0]
            self.made[outputs[0]] = _Made((reading.site,), dim)
        elif carried is not None and outputs:
            self.made[outputs[0]] = carried
        return result

    # -- which parameter it is ----------------------------------------------------------------

    def _lies(self, tensor: Tensor, name: str) -> None:
        start = int(tensor.storage_offset())
        memory = tensor.untyped_storage().data_ptr()
        self.lying.setdefault(memory, []).append((name, start, start + tensor.numel()))

    def _place(self, tensor: Tensor) -> Place | None:
        offset = int(tensor.storage_offset())
        for name, start, end in self.lying.get(tensor.untyped_storage().data_ptr(), ()):
            if start <= offset < end:
                return Place(name, tuple(tensor.shape), tensor.stride(), offset - start)
        return None

    def _follow_copy(self, tensor: Tensor, copy: Tensor) -> None:
        """A copy in another type, as under autocast, is the parameter too."""
        place = self._place(tensor)
        if place is not None and tensor.stride() == copy.stride() and place.offset == 0:
            self.copies.append(copy)
            self._lies(copy, place.parameter)

    # -- what reads it ------------------------------------------------------------------------

    def _readings(self, name: str, args: Any) -> Iterator[tuple[Reading, int]]:
        """Yield each reading, and the dim of the result in which its outputs lie."""
        if name == "convolution":
            inputs, weight, _, stride, padding, dilation, transposed, _, groups = args[:9]
            how = Convolution(tuple(stride), tuple(padding), tuple(dilation), transposed, groups)
            if (place := self._place(weight)) is not None:
                yield Reading(Site(place, how), weight, inputs), 1
        elif name in _PRODUCTS:
            left, right = (args[position] for position in _PRODUCTS[name])
            turned = right.unsqueeze(-1) if right.dim() == 1 else right
            yield from ((reading, -1) for reading in self._matrices(left, turned))
            dim = -1 if right.dim() == 1 else -2
            yield from ((reading, dim) for reading in self._matrices(turned.mT, left.mT))

    def _matrices(self, inputs: Tensor, weight: Tensor) -> Iterator[Reading]:
        place = self._place(weight)
        if place is None:
            return
        if weight.dim() == 2:
            yield Reading(Site(place), weight, inputs)
        elif weight.stride(0) == 0:
            yield from self._matrices(inputs.flatten(0, 1), weight[0])
        else:
            for each, matrix in zip(inputs, weight, strict=True):
                yield from self._matrices(each, matrix)

    # -- what comes out of it -----------------------------------------------------------------

    def _carried(self, func: Any, name: str, args: Any) -> _Made | None:
        """Return what the result of an operator is still made by; tell what ends here."""
        given = list(tensors_in(args))
        found = [tensor for tensor in given if tensor in self.made]
        carried = [t for t in found if self._passes_on(func, name, args, t, given)]
        for tensor in found:
            made = self.made[tensor]
            if not made.told and not any(tensor is each for each in carried):
                made.told = True
                self.observer.made(made.makers, tensor, made.dim)
        dims = {self.made[tensor].dim for tensor in carried}
        if len(dims) != 1:
            return None
        makers = dict.fromkeys(maker for tensor in carried for maker in self.made[tensor].makers)
        return _Made(tuple(makers), dims.pop())

    def _passes_on(
        self, func: Any, name: str, args: Any, tensor: Tensor, given: list[Tensor]
    ) -> bool:
        """Whether the outputs of the weights lie in the result as they do in `tensor`."""
        if torch.Tag.pointwise in func.tags:
            shapes = [each.shape for each in given]
            return bool(tensor.shape == torch.broadcast_shapes(*shapes))  # type: ignore[no-untyped-call]
        if name in _VIEWS:
            return bool(self.made[tensor].dim == -1 and args[1][-1] == tensor.shape[-1])
        return name in _CARRY and tensor is args[0]


_PRODUCTS = {
    "mm": (0, 1), "bmm": (0, 1), "mv": (0, 1),
    "addmm": (1, 2), "_addmm_activation": (1, 2), "baddbmm": (1, 2), "addmv": (1, 2),
}  # fmt: skip
_VIEWS = frozenset({"view", "_unsafe_view"})
_COPIES = frozenset({"_to_copy", "clone"})
_CARRY = frozenset({
    "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
    "cudnn_batch_norm", "native_group_norm", "native_layer_norm", "native_dropout",
    "prelu", "_prelu_kernel", "clone", "_to_copy", "detach", "alias",
})  # fmt: skip


# -- convolutions by places ---------------------------------------------------------------------


def unfolded(reading: Reading) -> tuple[Tensor, Tensor]:
    """Return what a weight reads as matrices: inputs (G, N, I) and weight (G, O, I).

    I runs over the channels of a group, and over kernel positions within each. Transposed
    convolutions have no such form.
    """
    how = reading.site.convolution
    if how is None:
        return reading.inputs.unsqueeze(0), reading.weight.mT.unsqueeze(0)
    kernel = reading.weight.shape[2:]
    windows = functional.pad(reading.inputs, [p for p in reversed(how.padding) for _ in range(2)])
    for dim, size in enumerate(kernel):
        reach = how.dilation[dim] * (size - 1) + 1
        windows = windows.unfold(2 + dim, reach, how.stride[dim])[..., :: how.dilation[dim]]
    # (B, C, places, kernel) -> (G, B, places, C / G, kernel)
    grouped = (
        torch.unflatten(windows, 1, (how.groups, -1)).movedim(1, 0).movedim(2, 2 + len(kernel))
    )
    size = reading.weight[0].numel()
    return (
        grouped.reshape(how.groups, -1, size),
        reading.weight.reshape(how.groups, -1, size),
    )
