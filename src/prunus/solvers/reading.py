"""What layers read on calibration data, with the layers before them as they are now."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from prunus.data import checked
from prunus.inputs import Inputs, call, device_of
from prunus.modes import eager, mode
from prunus.solvers.matrices import Layer
from prunus.trace.restore import as_it_was

See: TypeAlias = Callable[[str, Tensor], None]


@dataclass(frozen=True)
class Stage:
    """Layers that read the same tensor: changing one does not change what the others read.

    Attributes:
        names: Of the layers.
        once: Whether each is called once in a run of the model.
    """

    names: tuple[str, ...]
    once: bool


def stages(model: nn.Module, inputs: Inputs, layers: Mapping[str, Layer]) -> tuple[Stage, ...]:
    """Return `layers` in the order in which they first run, those never called left out.

    Layers that are called one after another with the same tensor, such as those that make
    queries, keys and values, share a stage.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
        >>> for stage in stages(model, torch.randn(1, 4), {"1": model[1], "0": model[0]}):
        ...     print(stage)
        Stage(names=('0',), once=True)
        Stage(names=('1',), once=True)
    """
    calls: Counter[str] = Counter()
    order: list[list[str]] = []
    last: list[Any] = []

    def note(name: str, given: Tensor) -> None:
        calls[name] += 1
        if calls[name] > 1:
            return
        now = [given, None if given.is_inference() else given._version]
        if last and last[0] is given and last[1] == now[1]:
            order[-1].append(name)
        else:
            order.append([name])
        last[:] = now

    evaluating = mode(model, training=False)
    unchanged = as_it_was(model, buffers=True)
    with evaluating, unchanged, torch.no_grad(), eager(), _hooked(layers, note):
        call(model, inputs)
    return tuple(Stage(tuple(names), all(calls[n] == 1 for n in names)) for names in order)


def read(
    model: nn.Module,
    layers: Mapping[str, Layer],
    data: Iterable[Any],
    see: See,
    *,
    once: bool,
) -> None:
    """Run `model` over `data`, and show `see` every input of `layers`; see `read_batch`.

    Raises:
        DataError: The data yield no batch, or one holds NaN or infinity.
    """
    for inputs, _ in checked(data, device=device_of(model)):
        read_batch(model, layers, inputs, see, once=once)


def read_batch(
    model: nn.Module, layers: Mapping[str, Layer], inputs: Inputs, see: See, *, once: bool
) -> None:
    """Run `model`, and show `see` every input of `layers`.

    Args:
        model: In evaluation mode, without gradients.
        layers: By name.
        inputs: Of one batch.
        see: Called with the name of a layer and what it reads.
        once: Each layer is called once, so that the run may end when all have been.
    """
    unread = set(layers)

    def note(name: str, given: Tensor) -> None:
        see(name, given)
        unread.discard(name)
        if once and not unread:
            raise _AllRead

    with _hooked(layers, note), eager(), suppress(_AllRead):
        call(model, inputs)


class _AllRead(BaseException):
    """Ends a run of a model: what comes after is not needed."""


@contextmanager
def _hooked(layers: Mapping[str, Layer], note: See) -> Iterator[None]:
    """Tell `note` the name and the input of each of `layers` when it is called."""

    def hook(name: str) -> Callable[..., None]:
        def before(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
            note(name, args[0] if args else named["input"])

        return before

    handles = [
        layer.register_forward_pre_hook(hook(name), with_kwargs=True)
        for name, layer in layers.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
