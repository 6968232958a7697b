"""Where a command writes: results to stdout, progress and remarks to stderr.

Tables are for people, and plain text where stdout is no terminal; with --json stdout gets one JSON
object and nothing else.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import length_hint
from typing import Any, TypeVar

from rich import box
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

T = TypeVar("T")
PLAIN = {"markup": False, "highlight": False, "emoji": False}


@dataclass
class Screen:
    """The two streams of a command.

    Attributes:
        json: Whether stdout is for one JSON object.
        quiet: Whether to show no progress.
    """

    json: bool = False
    quiet: bool = False
    out: Console = field(init=False, repr=False)
    err: Console = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.out = Console(**PLAIN)  # type: ignore[arg-type]
        self.err = Console(stderr=True, **PLAIN)  # type: ignore[arg-type]

    def show(self, *things: RenderableType) -> None:
        """Print for people. Text is wrapped between words."""
        if not self.json:
            for thing in things:
                self.out.print(thing)

    def place(self, text: str) -> None:
        """Print a line that holds a path or a command, which no line break may cut."""
        if not self.json:
            self.out.print(text, soft_wrap=True)

    def remark(self, text: str) -> None:
        """Print to standard error."""
        self.err.print(text, soft_wrap=True)

    def result(self, record: Mapping[str, Any]) -> None:
        """Print for machines."""
        if self.json:
            print(json.dumps(record, indent=2, allow_nan=False))

    # -- progress -----------------------------------------------------------------------------

    @contextmanager
    def bar(self, text: str, total: int | None = None) -> Iterator[Callable[[int, str], None]]:
        """Show a bar while the block runs; yield a function (steps done, what is being done).

        Without a total it moves to and fro.
        """
        with self._progress(counts=total is not None) as progress:
            task = progress.add_task(text, total=total)
            yield lambda done, now: progress.update(task, completed=done, description=now or text)

    @contextmanager
    def counted(self) -> Iterator[Callable[[int, int, str], None]]:
        """Show a bar; yield a function (done, in all, what comes next), as studies report."""
        with self._progress(counts=True) as progress:
            task = progress.add_task("", total=None)
            yield lambda done, total, now: progress.update(
                task, completed=done, total=total or None, description=now
            )

    def reading(self, text: str, data: Iterable[T]) -> Iterator[T]:
        """Yield what `data` yields, with a bar."""
        with self.bar(text, length_hint(data, 0) or None) as at:
            for number, item in enumerate(data, start=1):
                yield item
                at(number, "")

    def _progress(self, *, counts: bool) -> Progress:
        """Return bars on stderr, which are only drawn where that is a terminal."""
        columns = (BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn()) if counts else ()
        return Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            *columns,
            TimeElapsedColumn(),
            console=self.err,
            disable=self.json or self.quiet or not self.err.is_terminal,
            transient=True,
        )


def table(*headings: str, rows: Iterable[Sequence[str | Text]], right: bool = False) -> Table:
    """Return a table of plain text.

    Args:
        headings: One per column.
        rows: The cells.
        right: Whether all columns but the first are for figures, which line up at the right.
    """
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, heading in enumerate(headings):
        figures = right and number > 0
        made.add_column(
            heading,
            justify="right" if figures else "left",
            no_wrap=figures,
            overflow="fold",
        )
    for row in rows:
        made.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return made
