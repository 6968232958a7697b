"""Where in the user's code an operator was called."""

import sys
from pathlib import Path
from types import FrameType

import torch

_OURS = str(Path(__file__).parent)
_TORCH = str(Path(torch.__file__).parent)


def user_line() -> str:
    """Return "file.py:42": the innermost line outside PyTorch and the tracer.

    For a model made only of PyTorch's modules it is the innermost line inside PyTorch.
    """
    frame: FrameType | None = sys._getframe(1)
    in_torch: FrameType | None = None
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_TORCH):
            in_torch = in_torch or frame
        elif not file.startswith(_OURS):
            return _format(frame)
        elif frame.f_code.co_name == "trace":
            break
        frame = frame.f_back
    return _format(in_torch) if in_torch is not None else "unknown line"


def _format(frame: FrameType) -> str:
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
