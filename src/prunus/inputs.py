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
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils import _pytree as pytree

Inputs: TypeAlias = Any
Loss: TypeAlias = Callable[[Any, Any], Tensor]


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
    """Return `model(...)` on these inputs."""
    positional, keyword = arguments(inputs)
    return model(*positional, **keyword)


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
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


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
