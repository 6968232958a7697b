"""`file.py:function`: the user's own code, run as it is.

The file is imported under a private name, with its own folder importable. Whatever it raises is
shown as it is, with its traceback. Of a file without a function the functions are read, not run.
"""

import ast
import hashlib
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from prunus.errors import PruneError, unknown_name


def is_function(text: str) -> bool:
    """Return whether `text` names a function in a Python file, or the file alone.

    Example:
        >>> is_function("nets/small.py:build"), is_function("small.py"), is_function("net:resnet")
        (True, True, False)
    """
    return text.endswith(".py") or text.rpartition(":")[0].endswith(".py")


def call_function(text: str, option: str) -> Any:
    """Return what the function `file.py:function` returns.

    Args:
        text: As typed.
        option: What it was typed for, such as "MODEL", for messages.

    Raises:
        PruneError: There is no such file, or no such function in it.
    """
    file, _, name = (text, "", "") if text.endswith(".py") else text.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise PruneError(
            f"{option} {text}: there is no file '{file}'",
            hint=f"check the path; from here it is '{path.absolute()}'",
        )
    if not name:
        raise _nameless(path, file, option)
    return _function(_imported(path.resolve()), name, file)()


def _nameless(path: Path, file: str, option: str) -> PruneError:
    """Return the error for a file without a function, with those that can be called as they are."""
    try:
        body = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError):  # it is not run, so this is not its error to make
        body = []
    names = [each.name for each in body if isinstance(each, ast.FunctionDef) and _is_plain(each)]
    return PruneError(
        f"{option} {file} names no function",
        why="prunus calls a function of the file, without arguments",
        hint=" or ".join(f"{file}:{name}" for name in names[:5]) or f"{file}:function",
    )


def _is_plain(function: ast.FunctionDef) -> bool:
    """Return whether a function is public, and can be called without arguments."""
    given = function.args
    positional = len(given.posonlyargs) + len(given.args) == len(given.defaults)
    return positional and None not in given.kw_defaults and not function.name.startswith("_")


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
