"""Activation functions: one group each, of one unit, which becomes a straight line or stays."""

from collections import Counter
from collections.abc import Mapping

from prunus.links import Link
from prunus.records import Graph, Group, Groups, Member

# Operators that are an activation function by themselves, wherever they are called.
_OPERATORS = frozenset(
    {
        "relu", "gelu", "silu", "mish", "elu", "celu", "selu", "leaky_relu", "hardswish",
        "hardtanh", "relu6", "softplus", "_prelu_kernel",
    }
)  # fmt: skip

_TAKE_UP = frozenset({"layer", "norm"})
_SPLIT = "prunus.split.split_activations makes each call a module of its own"


def groups(graph: Graph) -> Groups:
    """Return one group per activation module that ran, and one per line that calls one itself.

    A module can go that a linear layer, convolution or batch norm stands in front of, whose
    result nothing else reads: that one takes up the line. The others are frozen with the reason.
    """
    links = {link.module: link for link in graph.links}
    modules = [link for link in graph.links if link.role == "activation"]
    found = {link.module: _group(graph, link, links) for link in modules}
    runs = [run for link in modules for run in (*link.earlier, link.ran)]
    inside = {place for run in runs for place in range(*run)}
    called = Counter(
        f"{operator.name.removesuffix('_')} at {operator.location}"
        for place, operator in enumerate(graph.operators)
        if place not in inside and operator.name.removesuffix("_") in _OPERATORS
    )
    for where, times in called.items():
        because = f"it is called in the code, and only a module can be replaced; {_SPLIT}"
        found[where] = Group(where, "activation", times, (), frozen_because=because, least=0)
    return found


def _group(graph: Graph, link: Link, links: Mapping[str, Link]) -> Group:
    front = _front(link, links)
    prefix = f"{link.module}."
    own = [n for n in graph.tensors if n.startswith(prefix) and n in graph.parameters]
    return Group(
        link.module,
        "activation",
        1,
        tuple(Member(name, dim=None, produces=True) for name in own),
        frozen_because=_reason(link, front, parameters=bool(own)),
        blocks=(link.module,),
        least=0,
        taken_up_by=front.module if front.role in _TAKE_UP else None,
    )


def _front(link: Link, links: Mapping[str, Link]) -> Link:
    """Return the module in front, past identities; where a row bites its tail, the last of it."""
    front, passed = link, set[str]()
    while front.before is not None and front.module not in passed:
        passed.add(front.module)
        front = links[front.before]
        if front.role != "identity":
            break
    return front


def _reason(link: Link, front: Link, *, parameters: bool) -> str | None:
    if link.held_because is not None:
        apart = link.earlier and not parameters
        return f"{link.held_because}; {_SPLIT}" if apart else link.held_because
    if front is link or front.role == "identity":
        return front.because or front.held_because
    if front.role not in _TAKE_UP:
        return f"it reads '{front.module}', which cannot take up a line"
    if front.held_because is not None:
        return f"it reads '{front.module}', and {front.held_because}"
    return None
