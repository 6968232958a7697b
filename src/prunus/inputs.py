"""How prunus calls a model: with a tensor, a tuple of arguments, or keyword arguments by name.

A mapping, such as a dict or a tokenizer's BatchEncoding, holds keyword arguments; a plain tuple
holds positional ones; all else is the one argument. Arguments of both kinds go by name into one
mapping. A batch of data is a pair (inputs, targets); `inputs` has one of these forms.

Inputs and outputs may nest: mappings, lists, tuples, named tuples, dataclasses, namespaces, packed
sequences, and what is registered with PyTorch's pytree. Objects of other classes are passed on as
they are.
"""

import copy
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
)
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from itertools import chain
from types import SimpleNamespace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils import _pytree as pytree

from prunus.errors import PruneError, kind_of, shown

Inputs: TypeAlias = Any
Loss: TypeAlias = Callable[[Any, Any], Tensor]

_MOST = 8
"""Parts of a container that an error lists."""


def arguments(inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and the keyword arguments that `inputs` stand for.

    Example:
        >>> arguments((1, {"a": 2})), arguments({"a": 2}), arguments([1, 2])
        (((1, {'a': 2}), {}), ((), {'a': 2}), (([1, 2],), {}))
    """
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    if isinstance(inputs, tuple) and not hasattr(inputs, "_fields"):
        return inputs, {}
    return (inputs,), {}


def call(model: nn.Module, inputs: Inputs) -> Any:
    """Return `model(...)` on these inputs; what it raises comes with a note of what they were."""
    positional, keyword = arguments(inputs)
    with noted(lambda: f"prunus called {call_text(inputs)}"):
        return model(*positional, **keyword)


def call_text(inputs: Inputs) -> str:
    """Return how a model is called with `inputs`, in the words of an error.

    Example:
        >>> call_text(torch.ones(2, 3)), call_text({"x": torch.ones(2), "mask": None})
        ('model(float32 2x3)', 'model(x=float32 2, mask=None)')
    """
    positional, keyword = arguments(inputs)
    named = (f"{name}={described(value)}" for name, value in keyword.items())
    return f"model({', '.join((*map(described, positional), *named))})"


def check_loss_function(loss: Any, error: type[PruneError]) -> None:
    """Raise an `error` where `loss` is nothing that takes (outputs, targets).

    Example:
        >>> check_loss_function(nn.CrossEntropyLoss, PruneError)
        Traceback (most recent call last):
        prunus.errors.PruneError: loss=CrossEntropyLoss means nothing...
    """
    if isinstance(loss, type) or not callable(loss):
        raise error(
            f"loss={shown(loss)} means nothing",
            why=f"it is {kind_of(loss)}, and is called as loss(outputs, targets)",
            hint="loss=nn.CrossEntropyLoss(), with brackets, or a function of yours",
        )


def loss_of(loss: Loss, outputs: Any, targets: Any) -> Tensor:
    """Return `loss(outputs, targets)`; what it raises comes with a note of what they were."""

    def note() -> str:
        missing = ": the data yield inputs alone, without targets" if targets is None else ""
        return f"prunus called loss({described(outputs)}, {described(targets)}){missing}"

    with noted(note):
        return loss(outputs, targets)


@contextmanager
def noted(note: Callable[[], str]) -> Iterator[None]:
    """Add `note()` to what the user's code raises inside; the error stays what it is.

    Example:
        >>> with noted(lambda: "it was called with 0"):
        ...     1 / 0
        Traceback (most recent call last):
        ZeroDivisionError: division by zero
        it was called with 0
    """
    try:
        yield
    except PruneError:  # says all by itself
        raise
    except Exception as error:
        error.add_note(note())
        raise


def described(tree: Any) -> str:
    """Return types and shapes, in the words of an error.

    Example:
        >>> described((torch.ones(2, 3), {"mask": None, "scale": 0.5}))
        '(float32 2x3, {mask: None, scale: float})'
    """
    if isinstance(tree, Tensor):
        sizes = "x".join(map(str, tree.shape))
        return f"{str(tree.dtype).removeprefix('torch.')} {sizes}".rstrip()
    kind = _kind_of(tree)
    if kind is None:
        return "None" if tree is None else type(tree).__name__
    every = list(kind.parts(tree))
    parts = [described(part) for part in every[:_MOST]]
    if isinstance(tree, Mapping):
        parts = [f"{key}: {part}" for key, part in zip(tree, parts, strict=False)]
    if len(every) > _MOST:
        parts.append(f"{len(every) - _MOST} more")
    if isinstance(tree, Mapping):
        return f"{{{', '.join(parts)}}}"
    return f"[{', '.join(parts)}]" if isinstance(tree, list) else f"({', '.join(parts)})"


def tensors_in(tree: Any) -> Iterator[Tensor]:
    """Yield every tensor in nested containers, in order."""
    if isinstance(tree, Tensor):
        yield tree
    elif (kind := _kind_of(tree)) is not None:
        for part in kind.parts(tree):
            yield from tensors_in(part)


def map_tensors(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """Return `tree` with `function` applied to every tensor in it; its containers are copied."""
    if isinstance(tree, Tensor):
        return function(tree)
    kind = _kind_of(tree)
    if kind is None:
        return tree
    return kind.rebuilt(tree, [map_tensors(function, part) for part in kind.parts(tree)])


def device_of(model: nn.Module) -> torch.device:
    """Return the device of the first parameter or buffer; the CPU for a model that has none."""
    first = next(chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if first is None else first.device


def to_device(tree: Any, device: torch.device) -> Any:
    """Return `tree` with every tensor on `device`."""
    return map_tensors(lambda tensor: tensor.to(device), tree)


# -- containers -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kind:
    """What a kind of container is made of, and the same container made of other parts."""

    parts: Callable[[Any], Iterable[Any]]
    rebuilt: Callable[[Any, list[Any]], Any]


def _kind_of(tree: Any) -> _Kind | None:
    known = _kind_of_class(type(tree))  # type: ignore[arg-type] # classes are hashable
    if known is not None:
        return known
    if type(tree) in pytree.SUPPORTED_NODES:  # more may be registered at any time
        return _REGISTERED
    plain = isinstance(tree, (type, nn.Module)) or not is_dataclass(tree)
    return None if plain else _RECORD


@lru_cache(maxsize=1024)
def _kind_of_class(cls: type) -> _Kind | None:
    return next((kind for base, kind in _KINDS if issubclass(cls, base)), None)


def _with_items(tree: Any, parts: list[Any]) -> Any:
    result = copy.copy(tree)
    for key, part in zip(tree, parts, strict=True):
        result[key] = part
    return result


def _with_places(tree: Any, parts: list[Any]) -> Any:
    result = copy.copy(tree)
    for place, part in enumerate(parts):
        result[place] = part
    return result


def _tuple_of(tree: Any, parts: list[Any]) -> Any:
    return getattr(tree, "_make", type(tree))(parts)


def _names(tree: Any) -> list[str]:
    names = (field.name for field in fields(tree)) if is_dataclass(tree) else vars(tree)
    return [name for name in names if hasattr(tree, name)]


def _with_attributes(tree: Any, parts: list[Any]) -> Any:
    result = copy.copy(tree)
    for name, part in zip(_names(tree), parts, strict=True):
        object.__setattr__(result, name, part)  # frozen ones too
    return result


def _unflattened(tree: Any, parts: list[Any]) -> Any:
    node = pytree.SUPPORTED_NODES[type(tree)]
    return node.unflatten_fn(parts, node.flatten_fn(tree)[1])


_RECORD = _Kind(lambda tree: [getattr(tree, name) for name in _names(tree)], _with_attributes)
_REGISTERED = _Kind(
    lambda tree: pytree.SUPPORTED_NODES[type(tree)].flatten_fn(tree)[0], _unflattened
)
# The first that fits counts. Sizes of a packed sequence stay: PyTorch reads them on the CPU.
_KINDS: tuple[tuple[type, _Kind], ...] = (
    (
        PackedSequence,
        _Kind(
            lambda tree: (tree.data, tree.sorted_indices, tree.unsorted_indices),
            lambda tree, parts: PackedSequence(parts[0], tree.batch_sizes, *parts[1:]),
        ),
    ),
    (tuple, _Kind(iter, _tuple_of)),
    (MutableSequence, _Kind(iter, _with_places)),
    (MutableMapping, _Kind(lambda tree: tree.values(), _with_items)),
    (
        Mapping,
        _Kind(
            lambda tree: tree.values(),
            lambda tree, parts: type(tree)(dict(zip(tree, parts, strict=True))),
        ),
    ),
    (SimpleNamespace, _RECORD),
)
