"""Single weights: one group per weight tensor, every element a unit."""

from math import prod

from prunus.records import Graph, Group, Groups, Member


def groups(graph: Graph) -> Groups:
    """Return one group per parameter of two or more dims that is not a lookup table.

    Biases and the scales of norms are left out: they are few, and each carries a whole channel.
    """
    tables = {
        operator.inputs[0].name
        for operator in graph.operators
        if operator.name == "embedding" and operator.inputs[0] is not None
    }
    found = {}
    for name, value in graph.tensors.items():
        matrix = sum(size > 1 for size in value.shape) >= 2
        if name in graph.parameters and matrix and name not in tables:
            frozen = "no operator reads it" if name in graph.unreached else None
            member = Member(name, None, produces=True)
            size = prod(value.shape)
            found[name] = Group(name, "weight", size, (member,), frozen_because=frozen)
    return found
