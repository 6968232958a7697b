"""Single weights: one group per weight tensor, every element a unit."""

from math import prod

from prunus.records import Graph, Group, Groups, Member


def groups(graph: Graph) -> Groups:
    """Return one group per matrix and kernel of the model.

    Biases, the scales of norms and lookup tables are left out: they are few, and each carries a
    whole channel or row.
    """
    return {
        name: Group(name, "weight", prod(value.shape), (Member(name, None, produces=True),))
        for name, value in graph.tensors.items()
        if name in graph.weights
    }
