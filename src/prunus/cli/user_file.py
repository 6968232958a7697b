"""`file.py:function`: the user's own code, run as it is.

The file is imported under a private name, with its own folder importable. Whatever it raises is
shown as it is, with its traceback.
"""

import hashlib
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from prunus.errors import PruneError, unknown_name


def is_function(text: str) -> bool:
    """Return whether `text` names a function in a Python file.

    Example:
        >>> is_function("nets/small.py:build"), is_function("net:resnet")
        (True, False)
    """
    return text.rpartition(":")[0].endswith(".py")


def call_function(text: str, option: str) -> Any:
    """Return what the function `file.py:function` returns.

    Args:
        text: As typed.
        option: What it was typed for, such as "MODEL", for messages.

    Raises:
        PruneError: There is no such file, or no such function in it.
    """
    file, _, name = text.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise PruneError(
            f"{option} {text}: there is no file '{file}'",
            hint=f"check the path; from here it is '{path.absolute()}'",
        )
    return _function(_imported(path.resolve()), name, file)()


def _imported(path: Path) -> ModuleType:
    """Import a file once, however often it is named."""
    name = f"_prunus_{path.stem}_{hashlib.sha256(bytes(path)).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "a .py file has a loader"
    module = sys.modules[name] = module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _function(module: ModuleType, name: str, file: str) -> Callable[[], Any]:
    found = getattr(module, name, None)
    if callable(found):
        return found  # type: ignore[no-any-return]
    known = [
        other
        for other, thing in vars(module).items()
        if callable(thing) and getattr(thing, "__module__", None) == module.__name__
    ]
    raise unknown_name(f"function in {file} named", name, known, PruneError)
