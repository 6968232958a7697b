"""Run a model once and write down every operator, with what its tensors' dims are made of.

Two interposition modes of PyTorch do it: `Recorder` sees every ATen operator, `SizeWatcher` still
sees the Python arguments, and so who supplied each size.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode

from prunus.cost.alone import is_pointwise
from prunus.inputs import tensors_in
from prunus.trace import rules as _rules  # noqa: F401 - fills the table of rules
from prunus.trace.axes import Mismatch, freeze, sizes
from prunus.trace.call import RULES, Call, Dims, Rule, fixed, is_composite, is_noted
from prunus.trace.hollow import memory_of
from prunus.trace.location import user_line
from prunus.trace.rules.pointwise import pointwise
from prunus.trace.ways import Execute

# Operators that change no number of a weight.
LAYOUT = frozenset(
    {
        "_reshape_alias", "_to_copy", "_unsafe_view", "clone", "expand", "permute", "reshape", "t",
        "transpose", "unsqueeze", "view",
    }
)  # fmt: skip

# Operators that sum over a dim of two factors, one of which may be a weight.
CONTRACTIONS = frozenset(
    {
        "_addmm_activation", "addmm", "addmv", "baddbmm", "bmm", "convolution", "linear", "mm",
        "mv",
    }
)  # fmt: skip

# Those whose first output holds values of their first input, and no others.
_PASS_VALUES = LAYOUT | {"alias", "detach", "gather", "index", "select", "slice", "sort", "squeeze"}


@dataclass(frozen=True)
class Step:
    """One recorded operator, while its dims are still nodes."""

    call: Call
    inputs: tuple[Tensor | None, ...]
    input_dims: tuple[Dims | None, ...]
    output_dims: tuple[Dims, ...]


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down every ATen operator that runs under it, and follows the dims of its tensors."""

    supports_higher_order_operators = True

    def __init__(self, execute: Execute) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._execute = execute
        self.steps: list[Step] = []
        self.outputs: list[Tensor] = []  # of the model
        # Where runs differ by chance anyway, as in training, what is drawn makes no cut inexact.
        self.by_chance = False
        # Tensors are kept alive, so that no other can take over an id.
        self._known: dict[int, tuple[Tensor, Dims]] = {}
        # Storage -> the tensors that lie in it.
        self._inside: defaultdict[object, set[int]] = defaultdict(set)

    def dims_of(self, tensor: Tensor) -> Dims:
        """Return what is known of a tensor."""
        found = self._known.get(id(tensor))
        if found is None:
            reason = "a tensor that is neither parameter, buffer nor computed from the inputs"
            return self.learn(tensor, _unknown(tensor, f"{reason}, at {user_line()}"))
        return found[1]

    def learn(self, tensor: Tensor, dims: Dims) -> Dims:
        """Note what the dims of a tensor are."""
        if not tensor.is_nested and sizes(dims.nodes) != tuple(tensor.shape):
            raise AssertionError(f"{sizes(dims.nodes)} for a tensor of {tuple(tensor.shape)}")
        self._known[id(tensor)] = (tensor, dims)
        self._inside[_memory(tensor)].add(id(tensor))
        return dims

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the first operator imports torch._dynamo, which takes seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator, then note it."""
        if isinstance(func, HigherOrderOperator):
            return self._hold(func, args, kwargs or {})
        if is_composite(func) and not _any_nested(tensors_in((args, kwargs))):
            with self:  # these take themselves apart
                return func.decompose(*args, **(kwargs or {}))
        result = self._execute(func, args, kwargs or {})
        outputs = tuple(tensors_in(result))
        if is_noted(func, outputs):
            with torch._C.DisableTorchFunction():  # sizes that we read are not the user's
                self._note(func, bound(func, args, kwargs or {}), outputs)
        return result

    def _hold(self, function: HigherOrderOperator, args: Any, kwargs: Any) -> Any:
        """Run an operator that takes functions, as cond, and freeze what it reads and makes."""
        result = function(*args, **kwargs)
        reason = f"{function} at {user_line()}: what runs inside it is not seen"
        for tensor in tensors_in((args, kwargs)):
            for node in self.dims_of(tensor).nodes:
                freeze(node, reason)
        for tensor in tensors_in(result):
            self.learn(tensor, _unknown(tensor, reason))
        return result

    def _note(self, func: Any, arguments: Mapping[str, Any], outputs: tuple[Tensor, ...]) -> None:
        inputs = tuple(_tensor_arguments(arguments.values()))
        input_dims = tuple(None if t is None else self.dims_of(t) for t in inputs)
        call = Call(func, arguments, outputs, self.dims_of, user_line())
        output_dims = self._apply_rule(call, (*inputs, *outputs), input_dims)
        if _draws(call) and not self.by_chance:
            for node in (node for dims in output_dims for node in dims.nodes):
                call.mark_inexact(node, "draws random numbers, which fall otherwise on fewer units")
        if call.name in _PASS_VALUES and input_dims and input_dims[0] is not None:
            first, *others = output_dims
            output_dims = (replace(first, points_to=input_dims[0].points_to), *others)
        for tensor in _written(func, arguments):
            self._forget_zeros(tensor)
        for tensor, dims in zip(outputs, output_dims, strict=True):
            self.learn(tensor, dims)
        self.steps.append(Step(call, inputs, input_dims, output_dims))

    def _forget_zeros(self, written: Tensor) -> None:
        """Values were written to a tensor: what lies in the same memory may no longer be zero."""
        for key in self._inside[_memory(written)]:
            tensor, dims = self._known[key]
            self._known[key] = (tensor, Dims(dims.nodes, (False,) * len(dims.nodes)))

    def _apply_rule(
        self, call: Call, tensors: Iterable[Tensor | None], inputs: Iterable[Dims | None]
    ) -> tuple[Dims, ...]:
        found = _rule_for(call.function)
        try:
            if found is None or not call.outputs:
                raise Mismatch("prunus has no rule for this operator")
            if _any_nested(tensors):
                raise Mismatch("prunus has no rules for nested tensors")
            result = found(call)
        except Mismatch as mismatch:
            reason = f"{call.name} at {call.location}: {mismatch}"
            for node in (node for dims in inputs if dims is not None for node in dims.nodes):
                freeze(node, reason)
            return tuple(_unknown(tensor, reason) for tensor in call.outputs)
        return (result,) if isinstance(result, Dims) else tuple(result)


def _any_nested(tensors: Iterable[Tensor | None]) -> bool:
    return any(tensor is not None and tensor.is_nested for tensor in tensors)


def _unknown(tensor: Tensor, reason: str) -> Dims:
    """Return frozen dims of their own; none for a nested tensor, which has no shape."""
    return fixed(() if tensor.is_nested else tensor.shape, reason)


def _draws(call: Call) -> bool:
    """Whether an operator draws random numbers."""
    seeded = torch.Tag.nondeterministic_seeded in call.function.tags
    return seeded and call.get("dropout_p") != 0 and call.get("training") is not False


@cache
def _rule_for(func: Any) -> Rule | None:
    space, name = func._schema.name.split("::")
    if space != "aten":  # what bears the same name elsewhere may do another thing
        return RULES.get(func._schema.name)
    found = RULES.get(name) or RULES.get(name.removesuffix("_"))
    if found is None and is_pointwise(func):
        return pointwise
    return found


@cache
def _schema(func: Any) -> tuple[tuple[str, ...], Mapping[str, Any]]:
    arguments = func._schema.arguments
    return tuple(a.name for a in arguments), {a.name: a.default_value for a in arguments}


def bound(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments of a call by their name in the schema."""
    names, defaults = _schema(func)
    return {**defaults, **dict(zip(names, args, strict=False)), **kwargs}


def _memory(tensor: Tensor) -> object:
    """Return what tensors that lie in the same memory have in common."""
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(tensor)  # inside vmap or grad
    if wrapped or tensor.layout is not torch.strided:
        return id(tensor)  # what it is made of has no rules, and so no zeros
    return memory_of(tensor)


def _written(func: Any, arguments: Mapping[str, Any]) -> list[Tensor]:
    """Return the tensors that a call writes to; one that only gets another shape is none."""
    if not func._schema.is_mutable or torch.Tag.inplace_view in func.tags:
        return []
    names = [a.name for a in func._schema.arguments if a.alias_info and a.alias_info.is_write]
    return [value for name in names for value in tensors_in(arguments[name])]


def _tensor_arguments(values: Iterable[Any]) -> Iterable[Tensor | None]:
    """Yield tensors, one level into lists; None for None."""
    for value in values:
        if value is None or isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from (item for item in value if isinstance(item, Tensor))
