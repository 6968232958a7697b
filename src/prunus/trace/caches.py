"""Tensors that functions remember, as where `functools.lru_cache` keeps positions or grids.

What is remembered does not run again: a trace would not see how it is made. And what is made in a
trace has no numbers, so that nothing of it may be left for the next run of the model.
"""

import functools
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from torch import nn

from prunus.inputs import tensors_in

_Cached: Any = type(functools.cache(len))


@contextmanager
def forgotten(model: nn.Module) -> Iterator[None]:
    """Let functions in the files of the model's classes forget tensors, before and after.

    They make them again when they are asked; what holds no tensor stays.

    Example:
        >>> @functools.cache
        ... def grid(size):
        ...     return torch.arange(size)
        >>> class Net(nn.Module):
        ...     grid = grid
        >>> _ = grid(3)
        >>> with forgotten(Net()):
        ...     grid.cache_info().currsize
        0
    """
    found = list(_caches(model))
    _forget(found)
    try:
        yield
    finally:
        _forget(found)


def _forget(caches: list[Any]) -> None:
    for cache in caches:
        if next(tensors_in(gc.get_referents(cache)), None) is not None:
            cache.cache_clear()


def _caches(model: nn.Module) -> Iterator[Any]:
    """Yield the cached functions and methods in the files where the model's classes are from."""
    classes = {cls for module in model.modules() for cls in type(module).__mro__}
    classes = {cls for cls in classes if cls.__module__.partition(".")[0] not in _NOT_OURS}
    files = {cls.__module__ for cls in classes} & sys.modules.keys()
    values = [value for file in files for value in vars(sys.modules[file]).values()]
    classes |= {value for value in values if isinstance(value, type) and value.__module__ in files}
    values += [value for cls in classes for value in vars(cls).values()]
    for value in values:
        yield from _inside(value)


def _inside(value: Any) -> Iterator[Any]:
    """Yield what is cached in a function or method: itself, or what it was wrapped around."""
    function = getattr(value, "__func__", value)
    if isinstance(function, _Cached):
        yield function
    elif isinstance(function, FunctionType):
        for cell in function.__closure__ or ():
            content = next(iter(gc.get_referents(cell)), None)  # none in one that is empty
            if isinstance(content, _Cached):
                yield content


_NOT_OURS = frozenset({"builtins", "torch"})
