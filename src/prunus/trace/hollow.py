"""Tensors that have a shape, strides, a type and a device, and no numbers.

PyTorch's own `FakeTensor` does more than a trace needs: it takes 0.3 ms an operator, and seconds
to import. Here the kernels of the meta device are asked once what an operator makes of such
tensors, and the answer is kept: the blocks of a model repeat, and so do its runs.

What cannot be told without numbers is refused; the caller then runs the model in another way.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

Key: TypeAlias = tuple[Any, ...]

_META = torch.device("meta")


class Unknowable(Exception):
    """What an operator makes cannot be told without numbers."""


class Form(NamedTuple):
    """All that is known of a hollow tensor but for its device."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype


class Hollow(Tensor):
    """A tensor without numbers; see `hollow`.

    Attributes:
        form: Shape, strides and type.
        memory: The same object for tensors that would lie in the same memory.
        place: Its device, which is quicker to read here.
    """

    form: Form
    memory: object
    place: torch.device

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Refuse an operator outside of a trace."""
        raise Unknowable(f"{func} runs outside of the trace")


def hollow(tensor: Tensor) -> Hollow:
    """Return a tensor like `tensor`, but for its numbers.

    Example:
        >>> hollow(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """
    return _make(_form(tensor), tensor.device, object())


def resized(tensor: Tensor, shape: Sequence[int]) -> Hollow:
    """Return a hollow tensor of the type and device of `tensor`, and of another shape."""
    empty = torch.empty(shape, dtype=tensor.dtype, device=_META)
    return _make(_form(empty), tensor.device, object())


def memory_of(tensor: Tensor) -> object:
    """Return what tensors that lie in the same memory have in common."""
    if isinstance(tensor, Hollow):
        return tensor.memory
    return torch._C._storage_id(tensor)  # type: ignore[attr-defined]


def execute(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return what the ATen operator `function` makes of hollow tensors.

    New tensors are hollow. An operator whose arguments are all real runs for real, and so does one
    that makes a tensor of numbers alone, such as a mask or positions: code may keep it.

    Raises:
        Unknowable: The result depends on numbers, or they would be lost.
        Exception: Whatever the operator raises for tensors of these forms.
    """
    tensors = _tensors_in(args) + _tensors_in(kwargs.values())
    given = [tensor for tensor in tensors if isinstance(tensor, Hollow)]
    if not given and (tensors or _is_constant(function)):
        return function(*args, **kwargs)
    asked = kwargs.get("device")
    device = _device_of(given) if asked is None else torch.device(asked)
    if torch.Tag.inplace_view in function.tags:
        return _another_view(function, args, kwargs)
    if "device" in kwargs or not tensors:
        kwargs = {**kwargs, "device": _META, "pin_memory": None}
    return _filled(_answer(function, args, kwargs, tensors), tensors, device)


class Hollowed(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs every operator on hollow tensors while it is entered.

    Example:
        >>> with Hollowed():
        ...     torch.nn.functional.linear(hollow(torch.ones(2, 3)), torch.ones(4, 3)).shape
        torch.Size([2, 4])
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the first operator imports torch._dynamo, which takes seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator."""
        return execute(func, args, kwargs or {})


# -- tensors and their forms ------------------------------------------------------------------


def _make(form: Form, device: torch.device, memory: object) -> Hollow:
    made: Hollow = Tensor._make_wrapper_subclass(
        Hollow, form.shape, form.strides, dtype=form.dtype, device=device
    )
    made.form, made.memory, made.place = form, memory, device
    return made


def _form(tensor: Tensor) -> Form:
    return Form(tuple(tensor.shape), tensor.stride(), tensor.dtype)


def _form_of(tensor: Tensor) -> Form:
    return tensor.form if isinstance(tensor, Hollow) else _form(tensor)


def _tensors_in(values: Iterable[Any]) -> list[Tensor]:
    """Return the tensors among arguments of an operator, and in lists of them."""
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += [item for item in value if isinstance(item, Tensor)]
    return found


def _device_of(tensors: Sequence[Hollow]) -> torch.device:
    """Return where the result lies; single numbers may lie elsewhere than the rest."""
    devices = {tensor.place for tensor in tensors}
    if len(devices) > 1:
        devices = {tensor.place for tensor in tensors if tensor.dim()}
    if len(devices) > 1:
        raise Unknowable(f"tensors on {devices}")
    return devices.pop() if devices else torch.device("cpu")


# What code makes to write to; the rest that is made of nothing it may keep, as masks and positions.
_BLANK = frozenset({"aten::zeros", "aten::empty", "aten::empty_strided"})


@cache
def _is_constant(function: Any) -> bool:
    return function._schema.name not in _BLANK


def _another_view(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Give a tensor another shape in place, as `squeeze_` does."""
    with no_dispatch():
        result = function(*args, **kwargs)
    for tensor in _tensors_in((result,)):
        if not isinstance(tensor, Hollow):
            raise Unknowable(f"{function} with other tensors")
        tensor.form = _form(tensor)
    return result


# -- answers ----------------------------------------------------------------------------------


class _Made(NamedTuple):
    """One tensor of an answer.

    Attributes:
        form: Of the tensor.
        place: Of the tensor argument in whose memory it lies, None for memory of its own.
        same: Whether it is that argument itself.
    """

    form: Form
    place: int | None
    same: bool


_ANSWERS: dict[Key, Any] = {}
_MOST_ANSWERS = 100_000


def _answer(
    function: Any, args: Sequence[Any], kwargs: Mapping[str, Any], tensors: Sequence[Tensor]
) -> Any:
    """Return what `function` returns, with a `_Made` for every tensor."""
    key = (function, _key(args), _key(list(kwargs.items())), torch.get_default_dtype())
    try:
        return _ANSWERS[key]
    except KeyError:
        if len(_ANSWERS) >= _MOST_ANSWERS:
            _ANSWERS.clear()
    _ANSWERS[key] = found = _asked(function, args, kwargs, tensors)
    return found


def _key(value: Any) -> Any:
    kind = type(value)
    if kind is Hollow:
        return value.form
    if kind is list or kind is tuple:
        return tuple([_key(item) for item in value])
    if isinstance(value, Tensor):
        return _form_of(value)
    return (kind, value)  # 1, 1.0 and True are equal, and not the same to an operator


def _asked(
    function: Any, args: Sequence[Any], kwargs: Mapping[str, Any], tensors: Sequence[Tensor]
) -> Any:
    """Ask the kernel of the meta device."""
    if torch.Tag.data_dependent_output in function.tags:
        raise Unknowable(f"{function} depends on numbers")
    metas = [_on_meta(_form_of(tensor)) for tensor in tensors]
    waiting = iter(metas)
    positional = [_with(waiting, value) for value in args]
    named = {name: _with(waiting, value) for name, value in kwargs.items() if name != "pin_memory"}
    result = function(*positional, **named)
    if any(tuple(m.shape) != _form_of(t).shape for m, t in zip(metas, tensors, strict=True)):
        raise Unknowable(f"{function} gives a tensor another shape")  # as with out=
    if function is torch.ops.aten.convolution.default:
        result = result.to(memory_format=_memory_format(*args))
    return _described(result, metas)


def _on_meta(form: Form) -> Tensor:
    return torch.empty_strided(form.shape, form.strides, dtype=form.dtype, device=_META)


def _with(tensors: Iterator[Tensor], value: Any) -> Any:
    """Return an argument with the next of `tensors` for each of its own."""
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, (list, tuple)):
        return [_with(tensors, item) for item in value]
    return value


def _memory_format(*args: Any) -> torch.memory_format:
    """Return the one in which a convolution leaves its output; the meta device has its own."""
    with Hollowed():  # type: ignore[no-untyped-call] # it runs operators to find out
        backend = torch._C._select_conv_backend(*args, bias_sizes=None)
        return torch._C._conv_determine_backend_memory_format(args[0], args[1], backend)


def _described(result: Any, metas: Sequence[Tensor]) -> Any:
    if isinstance(result, Tensor):
        for place, meta in enumerate(metas):
            if result is meta:
                return _Made(_form(meta), place, same=True)
            if memory_of(result) == memory_of(meta):
                return _Made(_form(result), place, same=False)
        return _Made(_form(result), None, same=False)
    if isinstance(result, (list, tuple)):
        return type(result)(_described(item, metas) for item in result)
    return result


def _filled(answer: Any, tensors: Sequence[Tensor], device: torch.device) -> Any:
    """Return an answer with hollow tensors in it."""
    if isinstance(answer, _Made):
        form, place, same = answer
        if place is None:
            return _make(form, device, object())
        if not same:
            return _make(form, device, memory_of(tensors[place]))
        if not isinstance(tensors[place], Hollow):
            raise Unknowable("what is written to a real tensor has no numbers")
        return tensors[place]
    if isinstance(answer, (list, tuple)):
        return type(answer)(_filled(item, tensors, device) for item in answer)
    return answer
