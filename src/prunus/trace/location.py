"""Where in the user's code an operator was called."""

import os
import sys
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Literal

import torch

_OURS = f"{Path(__file__).parent}{os.sep}"
_TORCH = f"{Path(torch.__file__).parent}{os.sep}"
_MODULES = f"{_TORCH}nn{os.sep}modules{os.sep}"


def user_line() -> str:
    """Return "file.py:42": the innermost line outside PyTorch and the tracer.

    For a model made only of PyTorch's modules it is the innermost line of its modules.
    """
    frame: FrameType | None = sys._getframe(1)
    in_torch: FrameType | None = None
    while frame is not None:
        whose = _whose(frame.f_code.co_filename)
        if whose == "user":
            return _format(frame)
        if whose == "ours":
            if frame.f_code.co_name == "trace":
                break
        elif whose == "modules" and in_torch is None:
            in_torch = frame
        frame = frame.f_back
    return _format(in_torch) if in_torch is not None else "unknown line"


@cache
def _whose(file: str) -> Literal["user", "ours", "modules", "torch"]:
    if file.startswith(_TORCH):
        return "modules" if file.startswith(_MODULES) else "torch"
    return "ours" if file.startswith(_OURS) else "user"


def _format(frame: FrameType) -> str:
    return f"{_name_of(frame.f_code.co_filename)}:{frame.f_lineno}"


@cache
def _name_of(file: str) -> str:
    return Path(file).name
