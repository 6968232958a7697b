"""Take whole blocks out of a model."""

import re
from collections.abc import Iterable, Mapping

from torch import nn

from prunus.records import Plan

# A module that knows its place, as for a cache of keys and values; and how many there are.
_PLACES = re.compile(r"(.*_)?(layer|block)_?(idx|index|id|number)|idx|index")
_NUMBERS = re.compile(r"(num_(hidden_)?layers|n_layers?|depth)")


def take_out(model: nn.Module, plan: Plan) -> None:
    """Remove the blocks that `plan` takes out. The others move up, and so do their numbers.

    An nn.ModuleList or nn.Sequential is numbered anew; one with names keeps those that are left.
    """
    by_stack = _by_stack(plan)
    for stack in sorted(by_stack, key=lambda path: -path.count(".")):  # inner ones by dense names
        names = by_stack[stack]
        container = model.get_submodule(stack)
        modules = container._modules
        numbered = list(modules) == [str(place) for place in range(len(modules))]
        before = len(modules)
        left = [(name, child) for name, child in modules.items() if name not in names]
        modules.clear()
        for place, (name, child) in enumerate(left):
            modules[str(place) if numbered else name] = child
            if numbered and child is not None:
                _move(child, int(name), place)
        _count_again(model, stack, before, [int(n) for n, _ in left] if numbered else [])


def dense_names(plan: Plan, names: Iterable[str]) -> dict[str, str]:
    """Return, for tensors of the smaller model, their names in the dense one."""
    gone = {
        stack: sorted(int(name) for name in names_of)
        for stack, names_of in _by_stack(plan).items()
        if all(name.isdigit() for name in names_of)
    }
    return {name: _renamed(name, gone) for name in names}


def _renamed(name: str, gone: Mapping[str, list[int]]) -> str:
    """Count the blocks that went in again, from the outermost stack to the innermost."""
    parts = name.split(".")
    for depth, part in enumerate(parts):
        if part.isdigit():
            place = int(part)
            for missing in gone.get(".".join(parts[:depth]), ()):
                place += missing <= place
            parts[depth] = str(place)
    return ".".join(parts)


def _by_stack(plan: Plan) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in plan.taken_out:
        stack, _, name = path.rpartition(".")
        found.setdefault(stack, set()).add(name)
    return found


def _move(block: nn.Module, old: int, new: int) -> None:
    for module in block.modules():
        for name, value in vars(module).items():
            if type(value) is int and value == old and _PLACES.fullmatch(name):
                vars(module)[name] = new


def _count_again(model: nn.Module, stack: str, before: int, left: list[int]) -> None:
    """Let the config objects above a numbered stack tell how many blocks it has."""
    if not left:
        return
    parts = stack.split(".")
    above = [".".join(parts[:depth]) for depth in range(len(parts))]
    configs = {id(c): c for p in above if (c := getattr(model.get_submodule(p), "config", None))}
    for config in configs.values():
        for name, value in list(getattr(config, "__dict__", {}).items()):
            if value == before and type(value) is int and _NUMBERS.fullmatch(name):
                setattr(config, name, len(left))
            elif isinstance(value, list) and len(value) == before and name == "layer_types":
                setattr(config, name, [value[place] for place in left])
