"""How a model runs for a while: in training or evaluation mode, uncompiled, on fixed seeds."""

import gc
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prunus.inputs import tensors_in


@contextmanager
def flagged(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Set the flags of every module, and give them back; `train` and `eval` are not called.

    Some models do more there, such as merge adapters into their weights.
    """
    flags = [(module, module.training) for module in model.modules()]
    try:
        for module, before in flags:
            if before != training:
                module.training = training
        yield
    finally:
        for module, before in flags:
            if module.training != before:
                module.training = before


@contextmanager
def mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Put `model` in training or evaluation mode; restore every module's own flag at the end.

    To evaluate, only flags are set. To train, the model's own `train` is called, since that is
    where models keep some layers, such as frozen batch norms, in evaluation mode.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Dropout().eval())
        >>> with mode(model, training=False):
        ...     model.training
        False
        >>> [module.training for module in model.modules()]
        [True, True, False]
    """
    with flagged(model, training=training):
        if training:
            model.train()
        yield


def eager() -> AbstractContextManager[None]:
    """Run what was given to `torch.compile` as the Python that it is."""
    if "torch._dynamo" not in sys.modules:  # nothing was, and importing it takes seconds
        return nullcontext()
    uncompiled: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return uncompiled


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage for a while, while many objects are made that all stay.

    Going through all objects of a program that imports PyTorch takes as long as a small trace.

    Example:
        >>> import gc
        >>> with uncollected():
        ...     gc.isenabled()
        False
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Start the random numbers of PyTorch, NumPy and Python anew; give back where they were.

    Example:
        >>> def draw():
        ...     return random.random(), float(np.random.rand()), float(torch.rand(()))
        >>> with seeded():
        ...     first = draw()
        >>> with seeded():
        ...     draw() == first
        True
    """
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


class Replaced:
    """A model that runs as if its modules of these names were other functions."""

    def __init__(self, model: nn.Module, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._modules = [model.get_submodule(name) for name in functions]
        for module, function in zip(self._modules, functions.values(), strict=True):
            vars(module)["forward"] = function

    def undo(self) -> None:
        """Let them run again."""
        for module in self._modules:
            vars(module).pop("forward", None)

    def __enter__(self) -> "Replaced":
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()


def pass_on(*args: Any, **kwargs: Any) -> Tensor:
    """Return the tensor that is given."""
    return next(tensors_in((args, kwargs)))


def skipped(model: nn.Module, names: Iterable[str]) -> Replaced:
    """Let a model run as if the modules of these names returned the tensor they are given."""
    return Replaced(model, dict.fromkeys(names, pass_on))
