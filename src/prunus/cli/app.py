"""What can be typed: the commands, `--version`, and how errors end."""

from typing import Annotated

import typer

from prunus._version import __version__
from prunus.cli import bench, compare, demo, inspect, prune, verify
from prunus.cli.errors import guarded

COMMANDS = (demo, inspect, prune, compare, verify, bench)
"""Modules with a function of their own name, and EXAMPLES of it."""

CODES = """Exit codes: 0 done, 1 error, 2 wrong usage, 130 interrupted; of verify also 3 worse and
4 not enough data to tell."""

app = typer.Typer(
    name="prunus",
    help="Make a trained PyTorch model smaller and faster at the same accuracy, with the proof.",
    epilog=f"{CODES}\n\nStart with: prunus demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it
    if wanted:
        typer.echo(f"prunus {__version__}")
        raise typer.Exit


@app.callback()
def _prunus(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


for _module in COMMANDS:
    _name = _module.__name__.rpartition(".")[2]
    _examples = "\n".join(f"  {line}" for line in _module.EXAMPLES.strip().splitlines())
    app.command(_name, epilog=f"\b\nExamples:\n{_examples}")(guarded(getattr(_module, _name)))


def main() -> None:
    """Run the command that was typed."""
    app(prog_name="prunus")
