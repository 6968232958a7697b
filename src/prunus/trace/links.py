"""Which module stands in front of which: who reads what a module returns, and nobody else does."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from prunus.inputs import tensors_in
from prunus.links import Link, Window
from prunus.trace.record import Recorder, Step

# Activation functions, and the operators that make them up or are one.
ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Hardswish, nn.Hardtanh, nn.Hardsigmoid, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Softsign,
    nn.LogSigmoid, nn.Hardshrink, nn.Softshrink, nn.Tanhshrink, nn.Threshold,
)  # fmt: skip
BENDS = frozenset({
    "relu",
    "gelu",
    "silu",
    "mish",
    "elu",
    "leaky_relu",
    "hardswish",
    "hardtanh",
    "softplus",
})
_ELEMENTWISE = BENDS | {"mul", "add", "sub", "div", "neg", "pow", "tanh", "sigmoid", "clamp", "erf"}
# Spatial dims, by type.
CONVOLUTIONS: dict[type[nn.Module], int] = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
BATCH_NORMS: dict[type[nn.Module], int] = {nn.BatchNorm1d: 1, nn.BatchNorm2d: 2, nn.BatchNorm3d: 3}


@dataclass(eq=False)
class _Call:
    """One run of a module."""

    module: str
    given: Tensor | None
    began: int
    ended: int = -1
    returned: Tensor | None = None
    source: "_Call | None" = None


@dataclass
class Calls:
    """What happened, in order: calls, and whether they end there or begin."""

    hooked: frozenset[str]
    events: list[tuple[_Call, bool]] = field(default_factory=list)


@contextmanager
def listening(model: nn.Module, recorder: Recorder) -> Iterator[Calls]:
    """Note the calls of modules without parts, and of those with hooks, while the block runs."""
    hooked = frozenset(name for name, module in model.named_modules() if has_hooks(module))
    calls = Calls(hooked)
    handles = []
    for name, module in model.named_modules():
        if name and (name in hooked or next(module.children(), None) is None):
            handles += _listen(module, name, calls, recorder)
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _listen(module: nn.Module, name: str, calls: Calls, recorder: Recorder) -> list[Any]:
    running: list[_Call] = []

    def before(_: nn.Module, args: Any, kwargs: Any) -> None:
        call = _Call(name, _only(args, kwargs), began=len(recorder.steps))
        running.append(call)
        calls.events.append((call, False))

    def after(_: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        call = running.pop()
        call.returned, call.ended = _only(output), len(recorder.steps)
        calls.events.append((call, True))

    return [
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after, with_kwargs=True),
    ]


def _only(*values: Any) -> Tensor | None:
    tensors = list(tensors_in(values))
    return tensors[0] if len(tensors) == 1 else None


def links(
    model: nn.Module,
    calls: Calls,
    recorder: Recorder,
    steps: Sequence[Step],
    tensors: Mapping[str, Tensor],
) -> tuple[Link, ...]:
    """Return one link per module that ran, by its last call.

    Args:
        model: What ran.
        calls: From `listening`.
        recorder: What recorded it.
        steps: Its operators.
        tensors: Its parameters and buffers, as the run saw them.
    """
    reading = _Reading(steps, {id(tensor) for tensor in recorder.outputs})
    modules = dict(model.named_modules())
    held = _held(modules, calls)
    found: dict[str, Link] = {}
    last: dict[int, _Call] = {}  # tensor -> the call that returned it last
    for call, ends in calls.events:
        if not ends:
            call.source = last.get(id(call.given))
            if call.module in calls.hooked:
                last.pop(id(call.given), None)  # who knows what a hook does with what it is given
            continue
        before, because = reading.link(call)
        own = [tensors.get(f"{call.module}.{name}") for name in ("weight", "bias")]
        known = found.get(call.module)
        found[call.module] = Link(
            module=call.module,
            role=_role(modules[call.module], call, steps),
            ran=(call.began, call.ended),
            before=before,
            because=because,
            held_because=held.get(call.module) or reading.from_outside(call, own),
            window=window_of(modules[call.module]),
            earlier=(*known.earlier, known.ran) if known else (),
        )
        if call.returned is not None:
            last[id(call.returned)] = call
    return tuple(found.values())


class _Reading:
    """Who reads and who makes which tensor."""

    def __init__(self, steps: Sequence[Step], outputs: set[int]) -> None:
        self._outputs = outputs
        self._steps = steps
        self._readers: defaultdict[int, list[int]] = defaultdict(list)
        self._makers: dict[int, Step] = {}
        for place, step in enumerate(steps):
            for tensor in step.inputs:
                self._readers[id(tensor)].append(place)
            for tensor in step.call.outputs:
                self._makers.setdefault(id(tensor), step)

    def link(self, call: _Call) -> tuple[str | None, str]:
        """Return the module in front of a call, or None and why there is none."""
        source, key = call.source, id(call.given)
        if call.given is None:
            return None, "it is not given one tensor"
        if source is None:
            maker = self._makers.get(key)
            if maker is None:
                return None, "it reads an input of the model"
            return None, f"it reads what {maker.call.name} made at {maker.call.location}"
        passes_on = call.returned is call.given
        for place in self._readers[key]:
            if place < source.ended or call.began <= place < call.ended:
                continue
            if place < call.began or not passes_on:
                other = self._steps[place].call
                return None, f"{other.name} at {other.location} reads what it reads"
        if key in self._outputs and not passes_on:
            return None, "what it reads is an output of the model"
        return source.module, ""

    def from_outside(self, call: _Call, tensors: Sequence[Tensor | None]) -> str | None:
        """Return who else reads tensors of the module that was called; None if nobody does."""
        own = {id(tensor) for tensor in tensors if tensor is not None}
        for place in (place for key in own for place in self._readers.get(key, ())):
            if not call.began <= place < call.ended:
                other = self._steps[place].call
                return f"{other.name} at {other.location} reads its weight"
        return None


def _held(modules: Mapping[str, nn.Module], calls: Calls) -> dict[str, str]:
    """Return why modules depend on more than their one place in the model."""
    runs = Counter(call.module for call, ends in calls.events if ends)
    owners = Counter(id(p) for m in modules.values() for p in m._parameters.values())
    places = Counter(id(child) for m in modules.values() for child in m._modules.values())
    found: dict[str, str] = {}
    for name in runs:
        module = modules[name]
        if runs[name] > 1:
            found[name] = f"it runs {runs[name]} times"
        elif places[id(module)] > 1:
            found[name] = "it stands in several places"
        elif name in calls.hooked:
            found[name] = "it has hooks"
        elif getattr(modules.get(name.rpartition(".")[0]), "activation_relu_or_gelu", 0):
            found[name] = "nn.TransformerEncoderLayer has a fast path that takes it for granted"
        elif parametrize.is_parametrized(module) or "forward" in vars(module):
            found[name] = "its weight is computed, or its forward replaced"
        elif any(owners[id(p)] > 1 for p in module._parameters.values() if p is not None):
            found[name] = "its weight is tied to another"
    return found


def _role(module: nn.Module, call: _Call, steps: Sequence[Step]) -> str:
    kind = type(module)
    if kind is nn.Linear or kind in CONVOLUTIONS:
        return "layer" if module._parameters.get("weight") is not None else "other"
    if kind in BATCH_NORMS:
        has_all = module.running_mean is not None and module._parameters["weight"] is not None
        return "norm" if has_all else "other"
    if kind is nn.Identity or (isinstance(module, nn.Dropout) and module.p == 0):
        return "identity"
    if isinstance(module, ACTIVATIONS) or _bends(module, call, steps):
        return "activation"
    return "other"


def _bends(module: nn.Module, call: _Call, steps: Sequence[Step]) -> bool:
    """Whether a module of the user's own is an activation function, by what it does."""
    given, returned = call.given, call.returned
    if given is None or returned is None or given.shape != returned.shape:
        return False
    if module._parameters or module._buffers or module._modules:
        return False
    names = {step.call.name.removesuffix("_") for step in steps[call.began : call.ended]}
    return bool(names & (BENDS | {"tanh", "sigmoid"})) and names <= _ELEMENTWISE


def window_of(module: nn.Module) -> Window | None:
    """Return how a layer moves; None where its padding is not the same at both ends."""
    rank = CONVOLUTIONS.get(type(module))
    if rank is None:
        return Window() if type(module) is nn.Linear else None
    layer: Any = module
    padding = layer.padding
    if padding == "valid":
        padding = (0,) * rank
    elif padding == "same":
        total = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        if any(size % 2 for size in total):
            return None
        padding = [size // 2 for size in total]
    return Window(
        tuple(layer.kernel_size), tuple(layer.stride), tuple(padding), tuple(layer.dilation),
        layer.groups, layer.padding_mode,
    )  # fmt: skip


def has_hooks(module: nn.Module) -> bool:
    """Return whether a forward or backward hook sits on `module`."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )
