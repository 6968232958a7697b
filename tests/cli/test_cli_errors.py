"""What a user sees when something goes wrong."""

import io
import re
from pathlib import Path

import pytest
import typer
from rich.console import Console

import prunus
from prunus.cli import errors
from prunus.cli.errors import TYPED, guarded, show
from prunus.errors import BudgetError, PruneError

ERROR = BudgetError("macs=0.1 cannot be met", why="'head' is frozen", hint="ask for more")


def shown(error: PruneError, monkeypatch: pytest.MonkeyPatch, *, width: int | None = None) -> str:
    """Return what `show` prints, to a terminal of `width` columns if given."""
    stream = io.StringIO()

    def console(**_: object) -> Console:
        return Console(file=stream, width=width, force_terminal=width is not None, no_color=True)

    monkeypatch.setattr(errors, "Console", console)
    show(error)
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())


def test_an_error_says_what_why_and_hint(monkeypatch) -> None:
    assert shown(ERROR, monkeypatch) == (
        "error: macs=0.1 cannot be met\n  why:  'head' is frozen\n  hint: ask for more\n"
    )


def test_what_is_not_there_has_no_line(monkeypatch) -> None:
    assert shown(PruneError("no more"), monkeypatch) == "error: no more\n"


def test_markup_in_names_is_text(monkeypatch) -> None:
    assert shown(PruneError("'[red]x[/red]' :smile:"), monkeypatch) == (
        "error: '[red]x[/red]' :smile:\n"
    )


def test_long_lines_hang_on_a_terminal(monkeypatch) -> None:
    text = shown(PruneError("short", why="word " * 20), monkeypatch, width=40)
    first, *lines = text.splitlines()
    assert first == "error: short"
    assert lines[0].startswith("  why:  word") and lines[1].startswith("        word")
    assert max(len(line) for line in lines) <= 40


def test_long_lines_stay_whole_elsewhere(monkeypatch) -> None:
    why = "word " * 30
    assert f"why:  {why.strip()}" in shown(PruneError("short", why=why), monkeypatch)


def test_a_path_is_not_broken(monkeypatch) -> None:
    path = "/a/very-long/" + "folder-name/" * 5
    assert path in shown(PruneError("no", why=f"at {path} it is"), monkeypatch, width=40)


def test_hints_say_what_to_type(monkeypatch) -> None:
    hint = "free a group: prunus.explain(model, example_inputs) shows them all"
    text = shown(PruneError("no", hint=hint), monkeypatch)
    assert "hint: free a group: prunus inspect MODEL shows them all" in text


def test_every_replaced_phrase_is_said_somewhere() -> None:
    source = Path(prunus.__file__).parent
    files = [path for path in source.rglob("*.py") if path.parent.name != "cli"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    assert [phrase for phrase in TYPED if phrase.removeprefix("pass ") not in text] == []


@pytest.mark.parametrize(("error", "code"), [(ERROR, 1), (KeyboardInterrupt(), 130)])
def test_exit_codes(error, code, capsys) -> None:
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as exit_:
        guarded(command)()
    assert exit_.value.exit_code == code
    assert len(capsys.readouterr().err.splitlines()) == (3 if code == 1 else 1)


def test_other_exceptions_are_left_alone() -> None:
    def command() -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        guarded(command)()
