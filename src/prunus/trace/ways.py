"""The ways in which a model is run without its own tensors, the quickest first.

hollow   on tensors that have only a shape; see `prunus.trace.hollow`
fake     on PyTorch's own such tensors: they know more operators, and models know them
real     on copies: where control flow reads values, or an operator knows no other tensors
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from prunus.trace import hollow

Execute: TypeAlias = Callable[[Any, Sequence[Any], Mapping[str, Any]], Any]


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to run a model.

    Attributes:
        name: "hollow", "fake" or "real".
        stand_in: Returns a tensor of the same shape, strides, type and device.
        resized: Returns a tensor of the same type and device, and of another shape.
        execute: Runs an ATen operator on such tensors.
        around: To be entered around the run.
    """

    name: str
    stand_in: Callable[[Tensor], Tensor]
    resized: Callable[[Tensor, Sequence[int]], Tensor]
    execute: Execute
    around: AbstractContextManager[Any]


def _hollow() -> Way:
    return Way(
        name="hollow",
        stand_in=hollow.hollow,
        resized=hollow.resized,
        execute=hollow.execute,
        around=nullcontext(),
    )


def _fake() -> Way:
    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def stand_in(tensor: Tensor) -> Tensor:
        shape, strides = tensor.shape, tensor.stride()
        empty = torch.empty_strided(shape, strides, dtype=tensor.dtype, device="meta")
        return FakeTensor(mode, empty, tensor.device)

    def resized(tensor: Tensor, shape: Sequence[int]) -> Tensor:
        empty = torch.empty(shape, dtype=tensor.dtype, device="meta")
        return FakeTensor(mode, empty, tensor.device)

    return Way(name="fake", stand_in=stand_in, resized=resized, execute=_run, around=mode)


def _real() -> Way:
    def resized(tensor: Tensor, shape: Sequence[int]) -> Tensor:
        return tensor.detach()[tuple(slice(size) for size in shape)].clone()

    return Way(
        name="real",
        stand_in=lambda tensor: tensor.detach().clone(),
        resized=resized,
        execute=_run,
        around=nullcontext(),
    )


def _run(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    return function(*args, **kwargs)


WAYS: Mapping[str, Callable[[], Way]] = {"hollow": _hollow, "fake": _fake, "real": _real}
