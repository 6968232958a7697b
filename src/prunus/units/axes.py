"""One group per axis: what the units of each own, and what they are."""

from collections.abc import Iterator
from dataclasses import replace

from prunus.extents import leaves
from prunus.records import Graph, Group, Groups, Member


def of_role(graph: Graph, role: str) -> Groups:
    """Return the groups of the axes that have this role, those that are not exact included."""
    every = groups_of_axes(graph)
    return {name: group for name, group in every.items() if group.granularity == role}


def only_exact(groups: Groups) -> Groups:
    """Freeze the groups whose removal is not exact, and which no correction makes up for.

    The residual stream runs through all norms of a model, whose epsilons add up: it is never cut
    on the strength of corrections.
    """
    return {name: _frozen_unless_exact(group) for name, group in groups.items()}


def _frozen_unless_exact(group: Group) -> Group:
    made_up_for = group.corrected and group.granularity != "width"
    if group.exact or made_up_for or group.frozen_because is not None:
        return group
    because = f"removal is not exact: {group.inexact_because[0]}"
    if group.granularity != "channel":
        because += f"; granularity='{group.granularity}' removes it all the same"
    return replace(group, frozen_because=because)


def groups_of_axes(graph: Graph) -> Groups:
    """Return one group per axis of `graph`, frozen and inexact ones included."""
    members: dict[str, list[Member]] = {name: [] for name in graph.axes}
    for axis, member in _members(graph):
        members[axis].append(member)
    return {
        name: Group(
            name=name,
            granularity=axis.role,
            size=axis.size,
            members=tuple(sorted(members[name], key=_producers_first)),
            inexact_because=axis.inexact_because,
            corrected=axis.corrected,
            frozen_because=axis.frozen_because,
        )
        for name, axis in graph.axes.items()
    }


def _members(graph: Graph) -> Iterator[tuple[str, Member]]:
    for tensor, value in graph.tensors.items():
        parameter = tensor in graph.parameters
        for dim, extent in enumerate(value.extents):
            occurrences: dict[str, int] = {}
            for leaf in leaves(extent):
                if leaf.axis is not None:
                    occurrence = occurrences.get(leaf.axis, 0)
                    occurrences[leaf.axis] = occurrence + 1
                    produces = parameter and dim == graph.output_dims[tensor]
                    yield (
                        leaf.axis,
                        Member(
                            tensor=tensor,
                            dim=dim,
                            extent=extent,
                            occurrence=occurrence,
                            parameter=parameter,
                            produces=produces,
                            reads=tensor in graph.weights and not produces,
                        ),
                    )


def _producers_first(member: Member) -> tuple[bool, bool]:
    return not member.produces, not member.parameter
