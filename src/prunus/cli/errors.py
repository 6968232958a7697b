"""What a user sees when a command cannot go on, and the exit codes.

Errors that a user can cause are PruneErrors: what, why and hint, without a traceback. So is the end
of a program that the user's own code asks for: its exit code would mean something else here. Any
other exception is a bug or comes from the user's own code, so its traceback is shown.
"""

import sys
import sysconfig
import textwrap
import traceback
from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import typer
from rich.console import Console
from rich.text import Text

from prunus.errors import PruneError

P = ParamSpec("P")

_OF_OTHERS = (
    str(Path(__file__).parents[1]),
    *(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
    "<",
)
"""How the names of files begin that are not the user's: of prunus, Python, libraries, and none."""

TYPED = {
    "prunus.explain(model, example_inputs)": "prunus inspect MODEL",
    "prunus.Budget(macs=0.5)": "--budget macs=0.5",
    "pass data=loader": "--data DATA",
    "granularity='weight'": "--granularity weight",
    "granularity='2:4'": "--granularity 2:4",
    "exclude=...": "--exclude",
    "say margin=0.01": "--margin 0.01",
    "raise recipe.epochs": "raise --recover",
}
"""What hints say of the Python interface -> what to type instead."""


class Exit(IntEnum):
    """The exit codes of `prunus`."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    WORSE = 3
    NOT_ENOUGH_DATA = 4
    INTERRUPTED = 130


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Return `command` with PruneErrors and Ctrl-C turned into a message and an exit code."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except PruneError as error:
            show(error)
            raise typer.Exit(Exit.ERROR) from error
        except KeyboardInterrupt as interrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(Exit.INTERRUPTED) from interrupt
        except SystemExit as end:
            show(_ended(end))
            raise typer.Exit(Exit.ERROR) from end

    return run


def place_of(error: BaseException) -> str:
    """Return where the user's own code was when it raised: the innermost such line, or "".

    Example:
        >>> place_of(ValueError("not raised"))
        ''
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_OF_OTHERS)]
    return f"{_short(own[-1].filename)}:{own[-1].lineno}, in {own[-1].name}" if own else ""


def _short(file: str) -> str:
    """Return a path as one would type it from here."""
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _ended(end: SystemExit) -> PruneError:
    return PruneError(
        f"the program was ended by {place_of(end) or 'code of a library'}",
        why=f"it raised SystemExit({end.code!r}), as sys.exit and argparse do, while prunus ran it",
        hint="keep what is for a script of its own under: if __name__ == '__main__'",
    )


def show(error: PruneError) -> None:
    """Print what happened, why, and a hint to standard error; wrapped on a terminal only."""
    console = Console(stderr=True, highlight=False)
    width = console.width if console.is_terminal else sys.maxsize
    parts = (("error: ", error.what), ("  why:  ", error.why), ("  hint: ", _typed(error.hint)))
    for label, text in parts:
        if text:
            lines = _wrapped(text, width - len(label))
            body = f"\n{' ' * len(label)}".join(lines)
            style = "bold red" if label == "error: " else "bold"
            console.print(Text.assemble((label, style), body), soft_wrap=True)


def _typed(hint: str) -> str:
    for python, words in TYPED.items():
        hint = hint.replace(python, words)
    return hint


def _wrapped(text: str, width: int) -> list[str]:
    return [
        part
        for line in text.splitlines()
        for part in textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
    ]
