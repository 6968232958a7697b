"""Channels, features and neurons: one group per axis."""

from collections.abc import Iterator

from prunus.extents import leaves
from prunus.records import Graph, Group, Groups, Member


def groups(graph: Graph) -> Groups:
    """Return one group per axis of `graph`, frozen and inexact ones included."""
    members: dict[str, list[Member]] = {name: [] for name in graph.axes}
    for axis, member in _members(graph):
        members[axis].append(member)
    return {
        name: Group(
            name=name,
            granularity="channel",
            size=axis.size,
            members=tuple(sorted(members[name], key=_producers_first)),
            inexact_because=axis.inexact_because,
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
