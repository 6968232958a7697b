"""A recorder much simpler than the tracer: operators as they ran, every size fixed."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from prunus.extents import Leaf
from prunus.inputs import tensors_in
from prunus.records import Graph, Operator, Value


def value_of(tensor: Tensor) -> Value:
    shape = tuple(tensor.shape)
    return Value(shape, tuple(Leaf(size) for size in shape), tensor.dtype)


class Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operators: list[Operator] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        arguments = func._schema.arguments
        given = dict(zip((a.name for a in arguments), args, strict=False)) | kwargs
        optional = {a.name for a in arguments if str(a.type) == "Optional[Tensor]"}
        inputs: list[Value | None] = []
        for argument in arguments:
            found = [value_of(tensor) for tensor in tensors_in(given.get(argument.name))]
            inputs += found or ([None] if argument.name in optional else [])
        others = {name: arg for name, arg in given.items() if not list(tensors_in(arg))}
        outputs = tuple(value_of(tensor) for tensor in tensors_in(result))
        name = func._schema.name.split("::")[1]
        self.operators.append(Operator(name, tuple(inputs), outputs, others, "test.py:1"))
        return result


def record(function: Callable[[], Any]) -> Graph:
    """Run a function and return a graph of the operators that ran, without tensors."""
    recorder = Recorder()
    with torch.no_grad(), recorder:
        function()
    return graph_of(recorder.operators)


def graph_of(operators: Sequence[Operator]) -> Graph:
    return Graph({}, {}, frozenset(), {}, tuple(operators), (), (), {})
