"""Run a model once, unchanged, and return its Graph."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from prunus.inputs import Inputs, arguments, call_text, map_tensors, noted, tensors_in
from prunus.modes import eager, flagged, seeded, uncollected
from prunus.records import Graph
from prunus.trace.axes import freeze, fresh, leaves_of
from prunus.trace.blocks import blocks, watched
from prunus.trace.caches import forgotten
from prunus.trace.call import Dims, fixed
from prunus.trace.check import check, check_outputs
from prunus.trace.graph import Sources, build, unreached
from prunus.trace.links import links, listening
from prunus.trace.record import Recorder
from prunus.trace.scopes import Event, holders_of, overheard, seen
from prunus.trace.sizes import settle, tagged, tie_equals
from prunus.trace.training import does_more_in_training
from prunus.trace.watch import SizeWatcher
from prunus.trace.ways import WAYS, Way

_FAKE_TENSOR_LOG = logging.getLogger("torch._subclasses.fake_tensor")


def trace(model: nn.Module, example_inputs: Inputs) -> Graph:
    """Run `model` once on tensors without numbers and write down what every tensor dim is made of.

    Nothing is computed and no memory is taken: the run is in eval mode, without gradients, on
    tensors that have only a shape. A model that does not run on such tensors, as where its control
    flow reads values, is run on copies of its real ones. The model is left exactly as it was.

    Args:
        model: Any module that runs eagerly.
        example_inputs: A tensor, a tuple of arguments, or a dict of keyword arguments, on the
            model's device.

    Raises:
        TraceError: The model is no eager one (TorchScript, quantised, wrapped for several devices,
            lazy), or returns no tensor; `example_inputs` lie on another device than it, or hold
            no tensor.
        Exception: Whatever the model's own `forward` raises, with a note of its inputs.

    Cost: about 0.1 ms an operator; no memory to speak of.

    Example:
        >>> graph = trace(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)), torch.randn(1, 4))
        >>> [(axis.name, axis.size, axis.frozen_because) for axis in graph.axes.values()]
        [('0', 8, None), ('1', 2, 'model output'), ('0.in', 4, 'model input')]
    """
    check(model, example_inputs)
    *quicker, surest = WAYS.values()
    with uncollected():
        for way in quicker:
            with suppress(Exception):  # whatever is the model's own fault is raised again below
                return _record(model, example_inputs, way())
        with noted(lambda: f"prunus called {call_text(example_inputs)}: these are example_inputs"):
            try:
                return _record(model, example_inputs, surest())
            except Exception:
                graph = _without_tags(model, example_inputs)
                if graph is None:
                    raise
                return graph


def _without_tags(model: nn.Module, example_inputs: Inputs) -> Graph | None:
    for way in WAYS.values():
        with suppress(Exception):
            return _record(model, example_inputs, way(), tags=False)
    return None


def _record(model: nn.Module, example_inputs: Inputs, way: Way, *, tags: bool = True) -> Graph:
    """Trace in one way.

    Without `tags`, as where code wants `type(size) is int`, it is not known who supplies the sizes;
    what a cut of them changes then shows in the replay.
    """
    sources = _sources(model, way)
    recorder = Recorder(way.execute)
    for name, tensor in sources.tensors.items():
        zero = (name in sources.parameters,) * tensor.dim()
        recorder.learn(tensor, Dims(tuple(fresh(size) for size in tensor.shape), zero))
    inputs = map_tensors(way.stand_in, example_inputs)
    for tensor in tensors_in(inputs):
        recorder.learn(tensor, fixed(tensor.shape, "model input"))
    watcher = SizeWatcher(recorder, tags=tags)
    with tagged(model, tags=tags) as attributes, way.around, recorder, watcher:
        with (
            quiet(model, training=False),
            listening(model, recorder) as calls,  # first: it looks for hooks
            watched(model, recorder) as runs,
            overheard(model, recorder) as events,
        ):
            _run_to_outputs(model, sources, inputs, recorder)
        steps = tuple(recorder.steps)
        if unreached(recorder.steps, sources) or does_more_in_training(model):
            with overheard(model, recorder) as more:
                _run_training(model, sources, inputs, recorder)
            events += more
    # Out here, what we read and compare of shapes is not taken for the user's doing.
    chained = links(model, calls, recorder, steps, sources.tensors)
    _hold_what_the_unreached_may_read(recorder, sources, events)
    _hold_what_is_left_out(recorder, sources)
    _hold_what_shares_memory(model, recorder, sources)
    tie_equals(attributes)
    settle(watcher.claims)
    graph = build(model, recorder, steps, sources, attributes)
    rows = blocks(model, runs, recorder, steps)
    return replace(graph, way=way.name, blocks=rows, links=chained)


def _run_to_outputs(model: nn.Module, sources: Sources, inputs: Inputs, recorder: Recorder) -> None:
    outputs = run(model, sources.tensors, sources.aliases, inputs)
    check_outputs(outputs)
    recorder.outputs += tensors_in(outputs)
    for tensor in recorder.outputs:
        for node in recorder.dims_of(tensor).nodes:
            freeze(node, "model output")


def _run_training(model: nn.Module, sources: Sources, inputs: Inputs, recorder: Recorder) -> None:
    """Record what runs only in training, such as auxiliary heads, where that needs no targets.

    What is read and tied there holds for the cut too: the result is trained on.
    """
    recorder.by_chance = True
    with quiet(model, training=True):
        try:
            _run_to_outputs(model, sources, inputs, recorder)
        except Exception:  # noqa: BLE001 - what was recorded until then holds all the same
            return


def _hold_what_the_unreached_may_read(
    recorder: Recorder, sources: Sources, events: Sequence[Event]
) -> None:
    """Freeze the extents of the size of an input of a parameter that no run reached.

    Only those that the code of a module which holds it sees: no other can pass them to it.
    """
    missing = unreached(recorder.steps, sources)
    visible = seen(events, recorder) if missing else {}
    for name in missing:
        shape = sources.tensors[name].shape
        inputs = set(shape[1:] or shape) - {1}
        for node in recorder.dims_of(sources.tensors[name]).nodes:
            freeze(node, f"no operator reads '{name}'")
        names = [name, *(other for other, first in sources.aliases.items() if first == name)]
        holders = {module for each in names for module in holders_of(each)} & visible.keys()
        for node in (n for module in holders for size in inputs for n in visible[module][size]):
            freeze(node, f"'{name}' may read it, but does not run with these inputs")


def _hold_what_is_left_out(recorder: Recorder, sources: Sources) -> None:
    """Freeze the parts of parameters that a slice leaves out: longer inputs may read them."""
    outputs = (dims for step in recorder.steps for dims in step.output_dims)
    used = {leaf for dims in outputs for node in dims.nodes for leaf in leaves_of(node)}
    for name, tensor in sources.tensors.items():
        for node in recorder.dims_of(tensor).nodes:
            for leaf in leaves_of(node):
                if node.find().kind == "sum" and leaf not in used:
                    freeze(leaf, f"a part of '{name}' that no operator reads")


def _hold_what_shares_memory(model: nn.Module, recorder: Recorder, sources: Sources) -> None:
    """Freeze tensors that lie in each other's memory: a cut would part them.

    One that is tied as a whole, under several names, is one tensor and not meant.
    """
    named = dict(model.named_parameters()) | dict(model.named_buffers())
    inside: defaultdict[int, list[tuple[int, int, str]]] = defaultdict(list)
    for name in sources.tensors:
        tensor = named[name]
        begin = int(tensor.storage_offset())
        steps = zip(tensor.shape, tensor.stride(), strict=True)
        length = int(sum((size - 1) * step for size, step in steps))
        if tensor.numel():
            inside[tensor.untyped_storage()._cdata].append((begin, begin + length, name))
    for places in inside.values():
        for (_, end, one), (begin, _, other) in pairwise(sorted(places)):
            for name in (one, other) if begin <= end else ():
                for node in recorder.dims_of(sources.tensors[name]).nodes:
                    freeze(node, f"'{one}' and '{other}' lie in the same memory")


def _sources(model: nn.Module, way: Way) -> Sources:
    """Make a stand-in for every parameter and buffer; tied ones share theirs."""
    first: dict[int, str] = {}
    tensors: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name, tensor in (parameters | dict(model.named_buffers(remove_duplicate=False))).items():
        if id(tensor) in first:
            aliases[name] = first[id(tensor)]
        else:
            first[id(tensor)] = name
            tensors[name] = way.stand_in(tensor)
    return Sources(tensors, frozenset(parameters) - aliases.keys(), aliases)


def run(
    model: nn.Module, tensors: Mapping[str, Tensor], aliases: Mapping[str, str], inputs: Inputs
) -> Any:
    """Call `model` with other tensors in the place of its parameters and buffers."""
    fakes = dict(tensors) | {name: tensors[first] for name, first in aliases.items()}
    positional, keyword = arguments(inputs)
    return functional_call(model, fakes, positional, keyword, tie_weights=False)


@contextmanager
def quiet(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Eval or training mode, no gradients, no fused paths that hide operators or depend on sizes.

    What fails on fake tensors is raised, or reported in our words; PyTorch need not log it too.
    """
    fast, silent = torch.backends.mha.get_fastpath_enabled(), _FAKE_TENSOR_LOG.disabled
    one_dnn = torch._C._get_mkldnn_enabled()
    try:
        torch._C._set_mkldnn_enabled(False)  # it runs a whole LSTM as one operator
        torch.backends.mha.set_fastpath_enabled(False)
        _FAKE_TENSOR_LOG.disabled = True
        # Which fused attention runs depends on widths and masks; this one always does.
        with (
            eager(),
            flagged(model, training=training),
            torch.no_grad(),
            seeded(),  # a model that branches at random takes one and the same way
            sdpa_kernel(SDPBackend.MATH),
            forgotten(model),
        ):
            yield
    finally:
        torch._C._set_mkldnn_enabled(one_dnn)
        torch.backends.mha.set_fastpath_enabled(fast)
        _FAKE_TENSOR_LOG.disabled = silent
