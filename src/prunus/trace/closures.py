"""Functions and weak references in a copied model that still lead to the model it was copied from.

Python copies neither: `self.act = lambda x: self.conv(x)` in a copy calls the layer of the
original, and so does a hook that closes over one, or a child's weak reference to its parent.
"""

import copy
import functools
import weakref
from types import CellType, FunctionType
from typing import Any

from torch import nn

from prunus.errors import PruneError
from prunus.trace.holders import parts_of, put, reached_from


def lead_home(model: nn.Module, copies: dict[int, Any]) -> None:
    """Let what `model`, a copy, holds refer to the copy and not to the original.

    Args:
        model: Changed in place.
        copies: id of an object of the original -> its copy: the memo of `copy.deepcopy`.

    Raises:
        PruneError: A function refers to a module of the original by the name of a global variable.

    Example:
        >>> import copy
        >>> layer = nn.Linear(2, 2)
        >>> layer.me = (lambda layer: lambda: layer)(layer)
        >>> memo = {}
        >>> twin = copy.deepcopy(layer, memo)
        >>> twin.me() is layer
        True
        >>> lead_home(twin, memo)
        >>> twin.me() is twin
        True
    """
    home = _Home(copies)
    for module in model.modules():
        home.lead(vars(module))


class _Home:
    """Replaces what leads elsewhere, each object once."""

    def __init__(self, copies: dict[int, Any]) -> None:
        self._copies = copies
        self._seen: dict[int, Any] = {}  # id -> what stands for it
        self._alive: list[Any] = []  # so that no id is given out anew

    def lead(self, value: Any) -> Any:
        """Return what stands for `value`; holders are changed in place where they can be."""
        if id(value) not in self._seen:
            self._alive.append(value)
            self._seen[id(value)] = value
            self._seen[id(value)] = self._led(value)
        return self._seen[id(value)]

    def _led(self, value: Any) -> Any:
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, weakref.ref):
            copied = self._copies.get(id(value()))
            return value if copied is None else weakref.ref(copied)
        if isinstance(value, functools.partial):
            function, args = self._from(value.func), tuple(map(self._from, value.args))
            return type(value)(
                function, *args, **{k: self._from(v) for k, v in value.keywords.items()}
            )
        for step, item in parts_of(value).items():
            led = self.lead(item)
            if led is not item:
                value = put(value, step, led)
        return value

    def _from(self, value: Any) -> Any:
        """Return the copy of what a function refers to; of a holder of such, a copy too."""
        if any(id(each) in self._copies for each in reached_from([value])):
            value = copy.deepcopy(value, self._copies)
        return self.lead(value)

    def _function(self, function: FunctionType) -> FunctionType:
        names = function.__globals__
        for name in function.__code__.co_names:
            if isinstance(names.get(name), nn.Module) and id(names[name]) in self._copies:
                raise PruneError(
                    f"the model cannot be copied: '{function.__qualname__}', which it holds, calls "
                    f"the global variable '{name}', a module of it",
                    why="in a copy it would go on to call the original",
                    hint="let it be a method, or prune with in_place=True",
                )
        cells = function.__closure__ or ()
        led = tuple(map(self._cell, cells))
        defaults = function.__defaults__ and tuple(map(self._from, function.__defaults__))
        same = all(one is other for one, other in zip(cells, led, strict=True))
        if same and _alike(defaults, function.__defaults__):
            return function
        other = FunctionType(function.__code__, names, function.__name__, defaults, led)
        other.__kwdefaults__ = function.__kwdefaults__
        other.__dict__.update(function.__dict__)
        return other

    def _cell(self, cell: CellType) -> CellType:
        try:
            content = cell.cell_contents
        except ValueError:  # nothing was put there yet
            return cell
        led = self._from(content)
        return cell if led is content else CellType(led)


def _alike(one: tuple[Any, ...] | None, other: tuple[Any, ...] | None) -> bool:
    return all(a is b for a, b in zip(one or (), other or (), strict=True))
