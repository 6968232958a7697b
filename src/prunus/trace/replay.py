"""Run a model again with the sizes that a plan predicts, before anything is cut.

Every operator must run, in the same order, and make the shapes that the plan says. What does not
is found here, with the user's line, and never in the user's hands.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode

from prunus.extents import Extent, axes_of, size_kept
from prunus.inputs import Inputs, map_tensors, tensors_in
from prunus.modes import uncollected
from prunus.records import Graph, Operator, Value
from prunus.trace.call import is_composite, is_noted
from prunus.trace.record import bound
from prunus.trace.restore import as_it_was
from prunus.trace.sizes import set_sizes
from prunus.trace.tracer import quiet, run
from prunus.trace.ways import WAYS, Way


@dataclass(frozen=True)
class Divergence:
    """The first operator that does not do under a plan what the plan predicts.

    Attributes:
        axes: The axes of its tensors that the plan cuts.
        reason: What happened, with the user's line.
        place: Of the last operator of that line, in the graph; None where the model did not run.
    """

    axes: frozenset[str]
    reason: str
    place: int | None = None


def replay(
    model: nn.Module,
    inputs: Inputs,
    graph: Graph,
    counts: Mapping[str, int],
    until: int | None = None,
) -> Divergence | None:
    """Run `model` on tensors of the predicted sizes; return where it diverges, if it does.

    Args:
        model: The dense model; it is left as it is.
        inputs: The example inputs of the trace.
        graph: The trace.
        counts: Axis name -> units kept.
        until: Place in the graph of the last operator that is of interest; all are unless given.

    A model that had to be traced on real tensors may do other things for other values; then only
    an error counts as divergence.

    Cost: about a third of that of a trace.
    """
    way = WAYS[graph.way]()
    refused = _refused(model, graph, counts)
    if refused is not None:
        return refused
    real = dict(model.named_parameters()) | dict(model.named_buffers())
    tensors = {
        name: _resized(real[name], value, counts, way) for name, value in graph.tensors.items()
    }
    stand_ins = map_tensors(way.stand_in, inputs)
    checker = _Checker(graph, counts, way, until)
    with ExitStack() as stack:
        stack.enter_context(uncollected() if way.name != "real" else nullcontext())
        stack.enter_context(as_it_was(model))
        set_sizes(model, (each for each in graph.attributes if _cut(each.extent, counts)), counts)
        stack.enter_context(quiet(model, training=False))
        stack.enter_context(way.around)
        stack.enter_context(checker)
        try:
            run(model, tensors, graph.aliases, stand_ins)
            checker.finish()
        except _Enough:
            pass
        except Exception as error:  # noqa: BLE001 - it ran before: the new sizes are the cause
            first_line = (str(error).splitlines() or [""])[0]
            checker.fail(f"{type(error).__name__}: {first_line[:200]}")
    return checker.found


def _cut(extent: Extent, counts: Mapping[str, int]) -> bool:
    return bool(axes_of(extent) & counts.keys())


def _resized(tensor: Tensor, value: Value, counts: Mapping[str, int], way: Way) -> Tensor:
    shape = _shape_kept(value, counts)
    return way.stand_in(tensor) if shape == value.shape else way.resized(tensor, shape)


def _shape_kept(value: Value, counts: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(size_kept(extent, counts) for extent in value.extents)


def _refused(model: nn.Module, graph: Graph, counts: Mapping[str, int]) -> Divergence | None:
    """Return the first LSTM whose hidden size would not exceed that of its projections.

    PyTorch builds none such, and where the two are equal it runs none.
    """
    modules = dict(model.named_modules())
    sizes = {(each.module, each.attribute): each.extent for each in graph.attributes}
    for name, module in modules.items():
        if isinstance(module, nn.LSTM) and module.proj_size and (name, "hidden_size") in sizes:
            hidden = sizes[name, "hidden_size"]
            size, projected = size_kept(hidden, counts), size_kept(sizes[name, "proj_size"], counts)
            if size <= projected:
                cut = frozenset(axes_of(hidden)) & counts.keys()
                what = f"'{name}' would have hidden_size {size} and proj_size {projected}"
                return Divergence(cut, f"{what}; PyTorch wants the first to be larger")
    return None


class _Enough(Exception):
    """The run need not go on."""


# Whether these run depends on strides and on who is looking. What they do wrong shows in the next
# operator that computes.
_LAYOUT = frozenset(
    {
        "_reshape_alias", "_unsafe_view", "alias", "as_strided_", "clone", "contiguous", "detach",
        "detach_", "lift_fresh", "reshape", "view",
    }
)  # fmt: skip


class _Checker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Compares every operator that computes with the one that was traced."""

    supports_higher_order_operators = True

    def __init__(
        self, graph: Graph, counts: Mapping[str, int], way: Way, until: int | None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._operators = operators = graph.operators
        self._places = [k for k, each in enumerate(operators) if each.name not in _LAYOUT]
        self._inexact = frozenset(
            name for name in counts if name in graph.axes and graph.axes[name].inexact_because
        )
        self._counts = counts
        self._last = len(operators) if until is None else until
        self._execute = way.execute
        self._compares = way.name != "real"
        self._done = 0
        self._shapes: dict[int, tuple[int, ...]] = {}  # id of a value of the graph -> its shape
        self.found: Divergence | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the first operator imports torch._dynamo, which takes seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator; stop the run where it is not what the plan predicts."""
        if isinstance(func, HigherOrderOperator):
            return func(*args, **(kwargs or {}))
        if is_composite(func):
            with self:
                return func.decompose(*args, **(kwargs or {}))
        result = self._execute(func, args, kwargs or {})
        outputs = tuple(tensors_in(result))
        name = func._schema.name.split("::")[1]
        if is_noted(func, outputs) and name not in _LAYOUT:
            if self._compares:
                self._compare(name, outputs)
                self._compare_numbers(func, args, kwargs or {})
            self._done += 1
            if self._due() and self._places[self._done] > self._last:
                raise _Enough
        return result

    def _compare(self, name: str, outputs: tuple[Tensor, ...]) -> None:
        due = self._due()
        if due is None or due.name != name:
            self.fail(f"'{name}' runs, which did not run there before")
            raise _Enough
        shapes = tuple(tuple(tensor.shape) for tensor in outputs)
        predicted = tuple(map(self._shape_of, due.outputs))
        if shapes != predicted:
            self.fail(f"makes {_list(shapes)} where the plan predicts {_list(predicted)}")
            raise _Enough

    def _shape_of(self, value: Value) -> tuple[int, ...]:
        """Return the shape that the plan predicts; operators share their values."""
        if id(value) not in self._shapes:
            self._shapes[id(value)] = _shape_kept(value, self._counts)
        return self._shapes[id(value)]

    def _compare_numbers(self, func: Any, args: Any, kwargs: Mapping[str, Any]) -> None:
        """A number that follows a size changes what is computed: such a cut is not exact."""
        due = self._due()
        if due is None:
            return
        kinds = (int, float) if torch.Tag.pointwise in func.tags else (float,)
        numbers = {name: n for name, n in due.arguments.items() if isinstance(n, kinds)}
        arguments = bound(func, args, kwargs) if numbers else {}
        for name, before in numbers.items():
            now = arguments.get(name)
            differs = isinstance(now, kinds) and now != before == before
            if differs and self._inexact.isdisjoint(_axes(due)):
                self.fail(f"its argument '{name}' is {now}, which was {before}")
                raise _Enough

    def finish(self) -> None:
        """The run is over: nothing may be left to do."""
        due = self._due()
        if due is not None and self._compares:
            self.fail(f"'{due.name}' does not run any more")

    def _due(self) -> Operator | None:
        """Return the operator that should run next."""
        if self._done >= len(self._places):
            return None
        return self._operators[self._places[self._done]]

    def fail(self, what: str) -> None:
        """Note that what is under way diverges: an operator, or the views that lead to it."""
        last = self._places[min(self._done, len(self._places)) - 1] if self._done else -1
        due = self._places[self._done] if self._due() else len(self._operators) - 1
        # One line of user code is many operators.
        while due + 1 < len(self._operators) and self._same_line(due, due + 1):
            due += 1
        involved = self._operators[last + 1 : due + 1] or self._operators[-1:]
        cut = frozenset(axis for each in involved for axis in _axes(each)) & self._counts.keys()
        operator = self._operators[self._places[self._done]] if self._due() else involved[-1]
        self.found = Divergence(cut, f"{operator.name} at {operator.location}: {what}", due)

    def _same_line(self, one: int, other: int) -> bool:
        return self._operators[one].location == self._operators[other].location


def _axes(operator: Operator) -> Iterator[str]:
    for value in (*operator.inputs, *operator.outputs):
        if value is not None:
            for extent in value.extents:
                yield from axes_of(extent)


def _list(shapes: tuple[tuple[int, ...], ...]) -> str:
    return ", ".join(" x ".join(map(str, shape)) for shape in shapes)
