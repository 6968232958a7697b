"""Which modules of a model are residual blocks in a row, so that one can be taken out.

A block is a child of an nn.ModuleList or nn.Sequential that runs once, returns one tensor of the
shape, dtype and axes of the one it is given, and adds something to it on the way.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from prunus.inputs import tensors_in
from prunus.links import Block
from prunus.trace.record import Recorder, Step
from prunus.trace.roles import residual_additions


@dataclass
class _Runs:
    """What a candidate did: at which step it began and ended, and whether it passes a tensor on."""

    began: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    given: list[Tensor | None] = field(default_factory=list)
    returned: list[Any] = field(default_factory=list)


@contextmanager
def watched(model: nn.Module, recorder: Recorder) -> Iterator[dict[tuple[str, str], _Runs]]:
    """Note what the candidates do while the block runs. Yields (stack, name) -> runs."""
    runs: defaultdict[tuple[str, str], _Runs] = defaultdict(_Runs)
    handles = []
    for stack, container in model.named_modules():
        if isinstance(container, nn.ModuleList | nn.Sequential) and len(container) > 1:
            for name, child in container.named_children():
                handles += _listen(child, runs[stack, name], recorder)
    try:
        yield runs
    finally:
        for handle in handles:
            handle.remove()


def _listen(module: nn.Module, runs: _Runs, recorder: Recorder) -> list[Any]:
    def before(_: nn.Module, args: Any, kwargs: Any) -> None:
        runs.began.append(len(recorder.steps))
        runs.given.append(next(tensors_in((args, kwargs)), None))

    def after(_: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        runs.ended.append(len(recorder.steps))
        runs.returned.append(output)

    return [
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after, with_kwargs=True),
    ]


def blocks(
    model: nn.Module, runs: dict[tuple[str, str], _Runs], recorder: Recorder, steps: Sequence[Step]
) -> tuple[Block, ...]:
    """Return the blocks, in the order in which they stand in their stacks."""
    parameters = {id(tensor) for tensor in model.parameters()}
    adds = residual_additions(steps, parameters)
    found = [
        Block(stack, name, (run.began[0], run.ended[0]))
        for (stack, name), run in runs.items()
        if _passes_on(run, recorder) and any(run.began[0] <= place < run.ended[0] for place in adds)
    ]
    # A stage that holds blocks is none itself.
    holders = {block.stack for block in found}
    return tuple(block for block in found if not any(_lies_in(h, block.path) for h in holders))


def _lies_in(stack: str, path: str) -> bool:
    return f"{stack}.".startswith(f"{path}.")


def _passes_on(run: _Runs, recorder: Recorder) -> bool:
    if len(run.began) != 1 or len(run.ended) != 1:
        return False
    given, returned = run.given[0], run.returned[0]
    if given is None or not isinstance(returned, Tensor):
        return False
    if given.shape != returned.shape or given.dtype != returned.dtype:
        return False
    pairs = zip(recorder.dims_of(given).nodes, recorder.dims_of(returned).nodes, strict=True)
    return all(one.size == 1 or one.find() is other.find() for one, other in pairs)
