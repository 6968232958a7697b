"""Channels of activation functions that bend at zero: each becomes a straight line or stays."""

from dataclasses import replace

from prunus.links import Link
from prunus.records import Graph, Group, Groups
from prunus.units import activation

# What nn.PReLU computes with a slope per channel: it takes the place of these.
_BEND_AT_ZERO = frozenset({"relu", "leaky_relu", "_prelu_kernel"})
_ONLY_SHAPES = frozenset({"view", "reshape", "_unsafe_view", "expand", "alias", "detach"})


def groups(graph: Graph) -> Groups:
    """Return one group per activation function, of one unit a channel.

    Those can lose units that can go whole at "activation" and that bend at zero and nowhere else.
    """
    links = {link.module: link for link in graph.links}
    return {
        name: _of_channels(graph, group, links.get(name))
        for name, group in activation.groups(graph).items()
    }


def _of_channels(graph: Graph, group: Group, link: Link | None) -> Group:
    group = replace(group, granularity="activation_channel")
    if link is None or group.taken_up_by is None:
        return group
    weight = graph.tensors[f"{group.taken_up_by}.weight"]
    because = group.frozen_because or _reason(graph, link, rank=len(weight.shape))
    return replace(group, size=weight.shape[0], frozen_because=because)


def _reason(graph: Graph, link: Link, *, rank: int) -> str | None:
    ran = [each for each in graph.operators[slice(*link.ran)] if each.outputs]
    names = {each.name.removesuffix("_") for each in ran} - _ONLY_SHAPES
    names |= {each.name for each in ran if each.name == "_prelu_kernel"}
    if len(names) != 1 or not names <= _BEND_AT_ZERO:
        return (
            f"it is no ReLU, leaky or not, but {' + '.join(sorted(names)) or 'something else'}: "
            "no module of PyTorch does that in some channels only"
        )
    given = max((v.shape for each in ran for v in each.inputs[:1] if v is not None), key=len)
    if rank > 1 and len(given) != rank:
        return "its channels do not lie along the second dim, where nn.PReLU has them"
    return None
