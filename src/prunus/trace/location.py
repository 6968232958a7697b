"""Where in the user's code an operator was called."""

import os
import sys
from pathlib import Path
from types import FrameType

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
        file = frame.f_code.co_filename
        if file.startswith(_TORCH):
            in_torch = in_torch or (frame if file.startswith(_MODULES) else None)
        elif not file.startswith(_OURS):
            return _format(frame)
        elif frame.f_code.co_name == "trace":
            break
        frame = frame.f_back
    return _format(in_torch) if in_torch is not None else "unknown line"


def _format(frame: FrameType) -> str:
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
