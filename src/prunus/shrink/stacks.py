"""Take whole blocks out of a model."""

import re
from collections.abc import Iterable, Mapping

from torch import nn

from prunus.records import Plan

# A module that knows its place, as for a cache of keys and values; and how many there are.
_PLACES = re.compile(r"(.*_)?(layer|block)?_?(idx|index|id|number)")
_NUMBERS = re.compile(r"(num_(hidden_)?layers|n_layers?|depth)")


def take_out(model: nn.Module, plan: Plan) -> None:
    """Remove the blocks that `plan` takes out. The others move up, and so do their numbers.

    An nn.ModuleList or nn.Sequential is numbered anew; one with names keeps those that are left.
    """
    for stack, names in _by_stack(plan).items():
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
    moved = _moved(plan)
    return {name: _renamed(name, moved) for name in names}


def _renamed(name: str, moved: Mapping[str, str]) -> str:
    for small, dense in moved.items():
        if name.startswith(f"{small}."):
            return dense + name[len(small) :]
    return name


def _moved(plan: Plan) -> dict[str, str]:
    """Return the paths of blocks whose number changes: in the smaller model -> in the dense."""
    moved: dict[str, str] = {}
    for stack, gone in _by_stack(plan).items():
        places = [int(name) for name in gone if name.isdigit()]
        if len(places) == len(gone):
            last = max(
                (
                    int(n.rpartition(".")[2])
                    for names in plan.stacks.values()
                    for n in names
                    if n.rpartition(".")[0] == stack
                ),
                default=0,
            )
            left = [place for place in range(last + 1) if place not in places]
            prefix = f"{stack}." if stack else ""
            moved |= {f"{prefix}{new}": f"{prefix}{old}" for new, old in enumerate(left)}
    return moved


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
