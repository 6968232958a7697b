"""What the code of each module gets to see: all that a parameter which did not run could read.

A layer is called by the forward of a module that holds it, at whatever depth. That code sees what
it is given, what it computes itself, and what the modules that it calls return; what these compute
inside stays theirs.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn

from prunus.inputs import tensors_in
from prunus.trace.axes import Node
from prunus.trace.record import Recorder, Step


class Event(NamedTuple):
    """A call begins, or ends with the tensors that it was given and returned.

    Attributes:
        module: Name of the module that is called.
        place: In the list of steps.
        passed: None where the call begins.
    """

    module: str
    place: int
    passed: tuple[Tensor, ...] | None


@contextmanager
def overheard(model: nn.Module, recorder: Recorder) -> Iterator[list[Event]]:
    """Note the calls of modules that hold others while the block runs.

    What a module without parts computes counts as its caller's.
    """
    events: list[Event] = []
    handles = []
    for name, module in model.named_modules():
        if next(module.children(), None) is not None:
            handles += _listen(module, name, events, recorder)
    try:
        yield events
    finally:
        for handle in handles:
            handle.remove()


def _listen(module: nn.Module, name: str, events: list[Event], recorder: Recorder) -> list[Any]:
    def before(_: nn.Module, args: Any) -> None:
        events.append(Event(name, len(recorder.steps), None))

    def after(_: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        passed = tuple(tensors_in((args, kwargs, output)))
        events.append(Event(name, len(recorder.steps), passed))

    return [
        module.register_forward_pre_hook(before),
        module.register_forward_hook(after, with_kwargs=True),
    ]


def seen(events: Iterable[Event], recorder: Recorder) -> Mapping[str, Mapping[int, set[Node]]]:
    """Return module -> size -> the extents of that size which its code sees."""
    found: defaultdict[str, defaultdict[int, set[Node]]]
    found = defaultdict(lambda: defaultdict(set))

    def see(module: str, tensors: Iterable[Tensor | None]) -> None:
        for tensor in tensors:
            for node in recorder.dims_of(tensor).nodes if tensor is not None else ():
                found[module][node.size].add(node.find())

    running, done = [""], 0
    for event in events:
        see(running[-1], _tensors(recorder.steps[done : event.place]))
        done = event.place
        if event.passed is None:
            running.append(event.module)
            continue
        while len(running) > 1 and running.pop() != event.module:
            pass  # a call that raised did not end
        see(event.module, event.passed)
        see(running[-1], event.passed)
    see(running[-1], _tensors(recorder.steps[done:]))
    return found


def _tensors(steps: Sequence[Step]) -> Iterator[Tensor | None]:
    for step in steps:
        yield from step.inputs
        yield from step.call.outputs


def holders_of(parameter: str) -> Iterator[str]:
    """Yield the names of the modules that hold a parameter, the innermost first.

    Example:
        >>> list(holders_of("encoder.embed.weight"))
        ['encoder.embed', 'encoder', '']
    """
    name = parameter
    while name:
        name = name.rpartition(".")[0]
        yield name
