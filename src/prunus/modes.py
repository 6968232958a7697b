"""Training and evaluation mode, set for a while and given back module by module."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def flagged(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Set the flags of every module, and give them back; `train` and `eval` are not called.

    Some models do more there, such as merge adapters into their weights.
    """
    flags = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in flags:
            module.training = training
        yield
    finally:
        for module, before in flags:
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
