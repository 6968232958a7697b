"""Whether the code of a model does something else while it is trained."""

import dis
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from types import CodeType, FunctionType
from typing import Any

from torch import nn

# What follows where a flag is only handed on, as in dropout(x, p, self.training).
_HANDED_ON = ("CALL", "KW_NAMES", "PRECALL")


def does_more_in_training(model: nn.Module) -> bool:
    """Whether a class of the user's branches on `self.training`, or keeps it for later.

    Where it is only handed on to a function, that is taken for dropout and its like.

    Example:
        >>> class Noisy(nn.Module):
        ...     def forward(self, x):
        ...         return x.flip(-1) if self.training else x
        >>> does_more_in_training(nn.Sequential(nn.Dropout(), nn.Linear(2, 2)))
        False
        >>> does_more_in_training(nn.Sequential(Noisy()))
        True
    """
    classes = {cls for module in model.modules() for cls in type(module).__mro__}
    return any(_asks(cls) for cls in classes if cls.__module__.partition(".")[0] != "torch")


@cache
def _asks(cls: type) -> bool:
    own = (value for name, value in vars(cls).items() if name != "train")
    return any(_reads(code) for value in own for code in _codes(getattr(value, "fget", value)))


def _codes(value: Any) -> Iterator[CodeType]:
    """Yield the code of a function, and of those that it makes."""
    code = getattr(value, "__code__", None) if isinstance(value, FunctionType) else value
    if isinstance(code, CodeType):
        yield code
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from _codes(constant)


def _reads(code: CodeType) -> bool:
    steps = [step for step in dis.get_instructions(code) if step.opname != "CACHE"]
    return any(
        step.opname == "LOAD_ATTR"
        and step.argval == "training"
        and not after.opname.startswith(_HANDED_ON)
        for step, after in pairwise(steps)
    )
