"""Leave a model as it was, whatever its `forward` writes down in it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def as_it_was(model: nn.Module, *, buffers: bool = False) -> Iterator[None]:
    """Give every attribute of every module back at the end, as after a run of `forward`.

    New attributes go, hooks too; dicts, lists and sets hold what they held, at any depth, and
    stay the same objects; plain tensors have the values that they had, and buffers where asked.

    Example:
        >>> model = nn.Linear(2, 2)
        >>> model.calls = [1]
        >>> with as_it_was(model):
        ...     model.calls.append(2)
        >>> model.calls
        [1]
    """
    attributes = [(module, dict(vars(module))) for module in model.modules()]
    values = [value for _, before in attributes for value in before.values()]
    refills = [_refill(container) for container in _containers(values)]
    kept = [value for value in values if isinstance(value, Tensor)]
    tensors = [(t, t.detach().clone()) for t in (*kept, *(model.buffers() if buffers else ()))]
    try:
        yield
    finally:
        for module, before in attributes:
            vars(module).clear()
            vars(module).update(before)
        for refill in refills:
            refill()
        for tensor, value in tensors:
            _restore(tensor, value)


_CONTAINERS = (dict, list, set, deque)


def _containers(values: Iterable[Any]) -> list[Any]:
    """Return every container among `values` and inside them, each once."""
    found: dict[int, Any] = {}
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, _CONTAINERS) and id(value) not in found:
            found[id(value)] = value
            waiting += value.values() if isinstance(value, dict) else value
        elif isinstance(value, tuple):
            waiting += value
    return list(found.values())


def _refill(container: Any) -> Callable[[], None]:
    """Return what puts back what `container` holds now."""
    content = dict(container) if isinstance(container, dict) else list(container)

    def refill() -> None:
        container.clear()
        add = container.update if hasattr(container, "update") else container.extend
        add(content)

    return refill


def _restore(tensor: Tensor, value: Tensor) -> None:
    with torch.no_grad(), torch.inference_mode(mode=tensor.is_inference()):
        if not torch.equal(tensor, value):
            tensor.copy_(value)
