"""Run a model again with the sizes that a plan predicts, before anything is cut.

Every operator must run, in the same order, and make the shapes that the plan says. What does not
is found here, with the user's line, and never in the user's hands.
"""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from prunus.extents import axes_of, size_kept
from prunus.inputs import Inputs, map_tensors, tensors_in
from prunus.records import Graph, Operator, Value
from prunus.trace.tracer import fake, quiet, run


@dataclass(frozen=True)
class Divergence:
    """The first operator that does not do under a plan what the plan predicts.

    Attributes:
        axes: The axes of its tensors that the plan cuts.
        reason: What happened, with the user's line.
    """

    axes: frozenset[str]
    reason: str


def replay(
    model: nn.Module, inputs: Inputs, graph: Graph, counts: Mapping[str, int]
) -> Divergence | None:
    """Run `model` on fake tensors of the predicted sizes; return where it diverges, if it does.

    Args:
        model: The dense model, its size attributes set as the plan says (`shrink.sized`).
        inputs: The example inputs of the trace.
        graph: The trace.
        counts: Axis name -> units kept.

    Cost: about that of a trace; the model's tensors are not touched.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    real = dict(model.named_parameters()) | dict(model.named_buffers())
    tensors = {
        name: _resized(real[name], value, counts, mode) for name, value in graph.tensors.items()
    }
    fakes = map_tensors(lambda tensor: fake(tensor, mode), inputs)
    checker = _Checker(graph.operators, counts)
    with ExitStack() as stack:
        stack.enter_context(quiet(model))
        stack.enter_context(mode)
        stack.enter_context(checker)
        try:
            run(model, tensors, graph.aliases, fakes)
        except _Diverged:
            pass
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            checker.fail(f"{type(error).__name__}: {str(error).splitlines()[0][:200]}")
    return checker.found


def _resized(
    tensor: Tensor, value: Value, counts: Mapping[str, int], mode: FakeTensorMode
) -> Tensor:
    shape = _shape_kept(value, counts)
    if shape == value.shape:
        return fake(tensor, mode)
    return FakeTensor(mode, torch.empty(shape, dtype=tensor.dtype, device="meta"), tensor.device)


def _shape_kept(value: Value, counts: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(size_kept(extent, counts) for extent in value.extents)


class _Diverged(Exception):
    """The run need not go on."""


class _Checker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Compares every operator with the one that was traced."""

    def __init__(self, operators: Iterable[Operator], counts: Mapping[str, int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._operators = tuple(operators)
        self._counts = counts
        self._done = 0
        self.found: Divergence | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator; stop the run where it is not what the plan predicts."""
        result = func(*args, **(kwargs or {}))
        outputs = tuple(tensors_in(result))
        if outputs and func.namespace != "prim":
            self._compare(func._schema.name.split("::")[1], outputs)
            self._done += 1
        return result

    def _compare(self, name: str, outputs: tuple[Tensor, ...]) -> None:
        if self._done >= len(self._operators) or self._operators[self._done].name != name:
            self.fail(f"'{name}' runs, which did not run there before")
            raise _Diverged
        shapes = tuple(tuple(tensor.shape) for tensor in outputs)
        expected = self._operators[self._done].outputs
        predicted = tuple(_shape_kept(value, self._counts) for value in expected)
        if shapes != predicted:
            self.fail(f"makes {_list(shapes)} where the plan predicts {_list(predicted)}")
            raise _Diverged

    def fail(self, what: str) -> None:
        """Note that the operator under way diverges."""
        operator = self._operators[min(self._done, len(self._operators) - 1)]
        values = [v for v in (*operator.inputs, *operator.outputs) if v is not None]
        axes = frozenset(axis for v in values for extent in v.extents for axis in axes_of(extent))
        cut = axes & self._counts.keys()
        self.found = Divergence(cut, f"{operator.name} at {operator.location}: {what}")


def _list(shapes: tuple[tuple[int, ...], ...]) -> str:
    return ", ".join(" x ".join(map(str, shape)) for shape in shapes)
