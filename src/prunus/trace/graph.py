"""From recorded steps to a Graph: name the axes, and turn nodes into plain extents."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from prunus.records import Axis, Correction, Graph, Operator, SizeAttribute, Value
from prunus.trace.axes import KERNEL, SPACE, Extents, Node, leaves_of, mark_inexact
from prunus.trace.call import Dims
from prunus.trace.corrections import corrections
from prunus.trace.mirrors import mirrored
from prunus.trace.record import CONTRACTIONS, LAYOUT, Recorder, Step
from prunus.trace.roles import roles
from prunus.trace.sizes import Attribute


@dataclass(frozen=True)
class Sources:
    """The parameters and buffers that a run read.

    Attributes:
        tensors: By first name, as seen by the run.
        parameters: Names of those that are parameters.
        aliases: Other name -> first name.
    """

    tensors: Mapping[str, Tensor]
    parameters: frozenset[str]
    aliases: Mapping[str, str]


def build(
    model: nn.Module,
    recorder: Recorder,
    steps: Sequence[Step],
    sources: Sources,
    attributes: Iterable[Attribute],
) -> Graph:
    """Return the graph of a finished run, with the operators of `steps`."""
    bound = [(attribute, attribute.node) for attribute in attributes if attribute.node is not None]
    for attribute, node in bound:
        for where in attribute.number_uses:
            mark_inexact(node, f"its size is used as a number at {where}")
    dims = {name: recorder.dims_of(tensor) for name, tensor in sources.tensors.items()}
    ids = {id(tensor): name for name, tensor in sources.tensors.items()}
    output_dims = {n: 0 for n in sources.tensors if n in sources.parameters} | _transposed(
        recorder.steps, ids
    )
    weights = _in_any_layout(
        recorder.steps, {key: name for key, name in ids.items() if name in sources.parameters}
    )
    corrected = corrections(recorder.steps, weights, recorder.outputs)
    role_of = roles(recorder.steps, weights, corrected)
    names = _axis_names({name: dims[name].nodes for name in output_dims}, output_dims)
    extents = Extents(names)
    values = _Values(extents, ids)
    tensors = {name: values.of(tensor, dims[name]) for name, tensor in sources.tensors.items()}
    operators = tuple(_operator(step, values) for step in steps)
    traced = [
        SizeAttribute(attribute.module, attribute.path, extents.of(node))
        for attribute, node in bound
    ]
    return Graph(
        axes={
            name: _axis(name, node, role_of.get(node, "channel"), corrected=corrected.solve(node))
            for node, name in names.items()
        },
        tensors=tensors,
        parameters=sources.parameters,
        aliases=sources.aliases,
        operators=operators,
        attributes=(*traced, *mirrored(model, tensors, operators)),
        unreached=unreached(recorder.steps, sources),
        output_dims=output_dims,
        weights=_weights(
            recorder.steps, weights, {name: len(dims[name].nodes) for name in output_dims}
        ),
        corrections=tuple(
            Correction(weight, extents.of(node), exponent)
            for weight, node, exponent in corrected.factors
        ),
    )


class _Values:
    """Turns tensors into Values; dims that were seen before are not walked again."""

    def __init__(self, extents: Extents, ids: Mapping[int, str]) -> None:
        self._extents = extents
        self._ids = ids
        self._known: dict[int, Value] = {}

    def of(self, tensor: Tensor, dims: Dims) -> Value:
        """Return the value of a tensor with these dims."""
        name = self._ids.get(id(tensor))
        key = id(dims)
        if name is not None or key not in self._known:
            extents = tuple(map(self._extents.of, dims.nodes))
            shape = tuple(node.size for node in dims.nodes)
            value = Value(shape, extents, tensor.dtype, name)
            if name is not None:
                return value
            self._known[key] = value
        return self._known[key]


def _operator(step: Step, values: _Values) -> Operator:
    inputs = tuple(
        None if tensor is None or dims is None else values.of(tensor, dims)
        for tensor, dims in zip(step.inputs, step.input_dims, strict=True)
    )
    outputs = tuple(
        values.of(tensor, dims)
        for tensor, dims in zip(step.call.outputs, step.output_dims, strict=True)
    )
    plain = {
        name: value
        for name, value in step.call.arguments.items()
        if not isinstance(value, (Tensor, list)) or _plain_list(value)
    }
    call = step.call
    return Operator(call.name, inputs, outputs, plain, call.location, call.function)


def _plain_list(value: object) -> bool:
    return isinstance(value, list) and not any(isinstance(item, Tensor) for item in value)


def _axis(name: str, node: Node, role: str, *, corrected: bool) -> Axis:
    reasons = [reason for reason in node.frozen if reason not in {KERNEL, SPACE}]
    because = "; ".join(reasons[:3] or node.frozen) or None
    return Axis(name, node.size, because, tuple(node.inexact), role, corrected)


def unreached(steps: Iterable[Step], sources: Sources) -> tuple[str, ...]:
    """Return the parameters that no operator read."""
    read = {id(tensor) for step in steps for tensor in step.inputs}
    return tuple(
        name for name in sources.tensors
        if name in sources.parameters and id(sources.tensors[name]) not in read
    )  # fmt: skip


# -- names ------------------------------------------------------------------------------------


def _axis_names(
    nodes: Mapping[str, Sequence[Node]], output_dims: Mapping[str, int]
) -> dict[Node, str]:
    """Name every leaf that parameters are made of after the parameter that produces it.

    A leaf that none produces is named "layer.in" after the first that consumes it, but for those
    of kernels and images. Leaves that may be cut get the plain names.
    """
    found: dict[Node, str] = {}
    for name, dims in nodes.items():
        if len(dims) > 1:
            for leaf in leaves_of(dims[output_dims[name]]):
                found.setdefault(leaf, _base(name))
    produced = frozenset(found)
    for name, dims in nodes.items():
        for leaf in (leaf for node in dims for leaf in leaves_of(node)):
            found.setdefault(leaf, f"{_base(name)}.in")
    names: dict[Node, str] = {}
    taken: Counter[str] = Counter()
    for leaf, base in sorted(found.items(), key=lambda item: bool(item[0].frozen)):
        if leaf.size > 1 and (leaf in produced or not {KERNEL, SPACE} & leaf.frozen.keys()):
            taken[base] += 1
            names[leaf] = base if taken[base] == 1 else f"{base}#{taken[base]}"
    return names


def _base(parameter: str) -> str:
    return parameter.removesuffix(".weight") if "." in parameter else parameter


def _transposed(steps: Iterable[Step], ids: Mapping[int, str]) -> dict[str, int]:
    """Return the parameters that make their outputs along dim 1."""
    found = {}
    for step in steps:
        weight = _TRANSPOSED.get(step.call.name)
        if weight is not None and step.call.get("transposed", True):
            name = ids.get(id(step.call[weight]))
            if name is not None:
                found[name] = 1
    return found


# Operators that read a weight (inputs, outputs), and the argument that it is.
_TRANSPOSED = {
    **dict.fromkeys(("convolution", "embedding"), "weight"),
    **dict.fromkeys(("_embedding_bag", "_embedding_bag_forward_only"), "weight"),
    **dict.fromkeys(("mm", "addmm"), "mat2"),
}


def _in_any_layout(steps: Iterable[Step], ids: Mapping[int, str]) -> dict[int, str]:
    """Return the ids of the parameters, and of what changes of layout made of them."""
    seen = dict(ids)
    for step in steps:
        if step.call.name in LAYOUT and step.inputs and id(step.inputs[0]) in seen:
            seen[id(step.call.outputs[0])] = seen[id(step.inputs[0])]
    return seen


def _weights(
    steps: Iterable[Step], weights: Mapping[int, str], ranks: Mapping[str, int]
) -> frozenset[str]:
    """Return the parameters that a contraction reads, as they are or after a change of layout."""
    read = (
        weights[id(tensor)]
        for step in steps
        if step.call.name in CONTRACTIONS
        for tensor in step.inputs
        if id(tensor) in weights
    )
    return frozenset(name for name in read if ranks.get(name, 0) > 1)  # a bias is read there too
