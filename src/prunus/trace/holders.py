"""What modules hold besides tensors and modules: containers and plain objects, and paths into them.

A path names attributes, keys and indices with dots between: "heads", "shape.0" inside a tuple,
"config.vision.width" inside objects. Keys that have a dot in them cannot be named.
"""

import sys
from argparse import Namespace
from collections import UserDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class _Kind:
    """How a kind of holder is read and written.

    Attributes:
        contents: All that it holds.
        parts: What can be named by the step of a path.
        put: Put something else at a step; return the holder, or another where it is immutable.
        keep: Return what puts back all that it holds now.
    """

    contents: Callable[[Any], Iterable[Any]]
    parts: Callable[[Any], dict[str, Any]]
    put: Callable[[Any, str, Any], Any]
    keep: Callable[[Any], Callable[[], None] | None]


def parts_of(holder: Any) -> Mapping[str, Any]:
    """Return what a dict, list, tuple or plain object holds, by the step of a path; else nothing.

    Example:
        >>> parts_of((3, 4)), parts_of({"dim": 8}), parts_of(SimpleNamespace(dim=8)), parts_of(8)
        ({'0': 3, '1': 4}, {'dim': 8}, {'dim': 8}, {})
    """
    kind = _kind_of(holder)
    return {} if kind is None else kind.parts(holder)


def put(holder: Any, step: str, value: Any) -> Any:
    """Put `value` at `step` of `holder`, and return it; of an immutable one a changed copy."""
    kind = _kind_of(holder)
    assert kind is not None
    return kind.put(holder, step, value)


def get_attribute(module: nn.Module, path: str) -> Any:
    """Return what is at `path` below `module`; None where nothing is.

    Example:
        >>> module = nn.Module()
        >>> module.shape = (3, 4)
        >>> get_attribute(module, "shape.1"), get_attribute(module, "shape.2")
        (4, None)
    """
    value: Any = vars(module)
    for step in path.split("."):
        value = parts_of(value).get(step)
    return value


def set_attribute(module: nn.Module, path: str, value: Any) -> None:
    """Set what is at `path` below `module`, in the objects that are there.

    Example:
        >>> module = nn.Module()
        >>> module.config = SimpleNamespace(sizes=(3, 4))
        >>> set_attribute(module, "config.sizes.1", 2)
        >>> module.config
        namespace(sizes=(3, 2))
    """
    _set(vars(module), path.split("."), value)


def _set(holder: Any, path: Sequence[str], value: Any) -> Any:
    step, *rest = path
    return put(holder, step, _set(parts_of(holder)[step], rest, value) if rest else value)


def reached_from(values: Iterable[Any]) -> Iterator[Any]:
    """Yield all that is among `values` and inside them at any depth, each object once."""
    seen: set[int] = set()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if type(value) not in _ATOMS and id(value) not in seen:
            seen.add(id(value))
            yield value
            kind = _kind_of(value)
            waiting += kind.contents(value) if kind is not None else ()


def keep(holder: Any) -> Callable[[], None] | None:
    """Return what puts back all that `holder` holds now; None where nothing can change in it."""
    kind = _kind_of(holder)
    return None if kind is None else kind.keep(holder)


# -- kinds ------------------------------------------------------------------------------------


def _kind_of(value: Any) -> _Kind | None:
    return _kind_of_class(type(value))  # type: ignore[arg-type] # classes are hashable


@lru_cache(maxsize=1024)
def _kind_of_class(cls: type) -> _Kind | None:
    for base, kind in _KINDS:
        if issubclass(cls, base):
            return kind
    return _OBJECT if _is_plain(cls) else None


_ATOMS = frozenset({int, float, bool, str, bytes, type(None)})
_NOT_PLAIN = (type, nn.Module, Tensor, Enum, BaseException)
_NOT_OURS = sys.stdlib_module_names | {"torch", "numpy"}


def _is_plain(cls: type) -> bool:
    """Whether `cls` is a class of the user's, or one that only holds data."""
    if issubclass(cls, (SimpleNamespace, Namespace, UserDict)):
        return True
    top = cls.__module__.partition(".")[0]
    return top not in _NOT_OURS and not issubclass(cls, _NOT_PLAIN)


def _items(holder: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): item for key, item in holder.items() if _is_step(key)}


def _is_step(key: Any) -> bool:
    return type(key) is int or (type(key) is str and "." not in key)


def _put_item(holder: dict[Any, Any], step: str, value: Any) -> Any:
    named = step.isidentifier()  # so it is no number
    key = step if named else next(k for k in reversed(holder) if str(k) == step and _is_step(k))
    holder[key] = value
    return holder


def _places(holder: Iterable[Any]) -> dict[str, Any]:
    return {str(place): item for place, item in enumerate(holder)}


def _put_place(holder: list[Any], step: str, value: Any) -> Any:
    holder[int(step)] = value
    return holder


def _places_of_tuple(holder: tuple[Any, ...]) -> dict[str, Any]:
    """Of tuples whose constructor is known, so that changed copies can be made."""
    known = type(holder) in (tuple, torch.Size) or hasattr(holder, "_make")
    return _places(holder) if known else {}


def _another_tuple(holder: tuple[Any, ...], step: str, value: Any) -> Any:
    items = list(holder)
    items[int(step)] = value
    return getattr(holder, "_make", type(holder))(items)


def _attributes(holder: Any) -> dict[str, Any]:
    return _in_slots(holder) | getattr(holder, "__dict__", {})


def _in_slots(holder: Any) -> dict[str, Any]:
    declared = [vars(cls).get("__slots__", ()) for cls in type(holder).__mro__]
    listed = [[slots] if isinstance(slots, str) else slots for slots in declared]
    names = {name for slots in listed for name in slots} - {"__dict__", "__weakref__"}
    return {name: getattr(holder, name) for name in sorted(names) if hasattr(holder, name)}


def _put_attribute(holder: Any, step: str, value: Any) -> Any:
    if step in getattr(holder, "__dict__", {}):
        vars(holder)[step] = value
    else:
        object.__setattr__(holder, step, value)  # frozen ones too
    return holder


def _keep_content(holder: Any) -> Callable[[], None]:
    if not holder:  # most that modules hold: dicts for hooks
        clear: Callable[[], None] = holder.clear
        return clear
    content = dict(holder) if isinstance(holder, dict) else list(holder)

    def refill() -> None:
        holder.clear()
        add = holder.update if hasattr(holder, "update") else holder.extend
        add(content)

    return refill


def _keep_attributes(holder: Any) -> Callable[[], None]:
    slots, attributes = _in_slots(holder), dict(getattr(holder, "__dict__", {}))

    def put_back() -> None:
        if hasattr(holder, "__dict__"):
            vars(holder).clear()
            vars(holder).update(attributes)
        for name, value in slots.items():
            object.__setattr__(holder, name, value)

    return put_back


def _never(holder: Any, step: str, value: Any) -> Any:
    raise AssertionError(f"a {type(holder).__name__} has no steps")


_OBJECT = _Kind(
    lambda holder: _attributes(holder).values(), _attributes, _put_attribute, _keep_attributes
)
_KINDS: tuple[tuple[Any, _Kind], ...] = (
    (dict, _Kind(lambda holder: holder.values(), _items, _put_item, _keep_content)),
    (list, _Kind(iter, _places, _put_place, _keep_content)),
    (tuple, _Kind(iter, _places_of_tuple, _another_tuple, lambda _: None)),
    ((set, deque), _Kind(iter, lambda _: {}, _never, _keep_content)),
)
