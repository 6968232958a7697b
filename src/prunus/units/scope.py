"""Leave out what the user wants kept whole."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from prunus.errors import PlanError
from prunus.records import Group, Groups


def scoped(groups: Groups, *, include: Sequence[str] | None, exclude: Sequence[str]) -> Groups:
    """Freeze the groups that `include` does not name or that `exclude` names.

    A pattern is matched against the names of layers and parameters. A group counts as named by
    `exclude` where any layer that produces its units matches, and by `include` where all do. A
    string is one pattern.
    """
    include = [include] if isinstance(include, str) else include
    exclude = [exclude] if isinstance(exclude, str) else exclude
    _check_patterns(groups, [*(include or ()), *exclude])
    return {name: _scoped(group, include, exclude) for name, group in groups.items()}


def _scoped(group: Group, include: Sequence[str] | None, exclude: Sequence[str]) -> Group:
    if group.frozen_because is not None:
        return group
    producers = _producers(group)
    for pattern in exclude:
        if any(_matches(tensor, pattern) for tensor in producers):
            return replace(group, frozen_because=f"excluded by '{pattern}'")
    if include is not None:
        outside = [t for t in producers if not any(_matches(t, pattern) for pattern in include)]
        if outside:
            return replace(group, frozen_because=f"'{outside[0]}' is not among include")
    return group


def _producers(group: Group) -> list[str]:
    """Return the tensors that make the units of a group; of activation functions their names."""
    made = [member.tensor for member in group.members if member.produces]
    return made or [*group.blocks]


def _matches(tensor: str, pattern: str) -> bool:
    layer = tensor.rpartition(".")[0]
    return fnmatchcase(tensor, pattern) or fnmatchcase(layer, pattern)


def _check_patterns(groups: Groups, patterns: Iterable[str]) -> None:
    tensors = {member.tensor for group in groups.values() for member in group.members}
    own = {name for group in groups.values() if not group.members for name in group.blocks}
    for pattern in patterns:
        if not any(_matches(tensor, pattern) for tensor in tensors | own):
            layers = sorted({tensor.rpartition(".")[0] for tensor in tensors} | own)
            raise PlanError(
                f"the pattern '{pattern}' matches no layer",
                why=f"layers with units: {', '.join(layers[:8])}{' ...' * (len(layers) > 8)}",
                hint="patterns are shell globs over layer names, such as 'layer1.*'",
            )
