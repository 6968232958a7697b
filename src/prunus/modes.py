"""Training and evaluation mode, set for a while and given back module by module."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Put `model` in training or evaluation mode; restore every module's own flag at the end.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Dropout().eval())
        >>> with mode(model, training=False):
        ...     model.training
        False
        >>> [module.training for module in model.modules()]
        [True, True, False]
    """
    flags = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, training_before in flags:
            module.training = training_before
