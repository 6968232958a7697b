"""Where a command writes."""

import io
import re

import pytest
from rich.console import Console

from prunus.cli.render import Screen, table


def screen(*, terminal: bool, **settings: bool) -> tuple[Screen, io.StringIO]:
    """Return a screen, and its standard error."""
    made, stream = Screen(**settings), io.StringIO()
    made.err = Console(file=stream, force_terminal=terminal, width=80)
    return made, stream


def test_a_bar_is_drawn_on_a_terminal():
    made, stream = screen(terminal=True)
    with made.bar("recovering", 3) as at:
        at(2, "epoch 1")
    assert "recovering" in stream.getvalue() or "epoch 1" in stream.getvalue()


@pytest.mark.parametrize(
    ("terminal", "settings"), [(False, {}), (True, {"quiet": True}), (True, {"json": True})]
)
def test_no_bar_is_drawn_elsewhere(terminal, settings):
    made, stream = screen(terminal=terminal, **settings)
    with made.bar("recovering", 3) as at, made.counted() as progress:
        at(1, "")
        progress(1, 2, "next")
    assert re.sub(r"\x1b\[\??[0-9;]*[a-zA-Z]", "", stream.getvalue()).strip() == ""


def test_reading_yields_all():
    made, _ = screen(terminal=True)
    assert list(made.reading("reading", [1, 2])) == [1, 2]
    assert list(made.reading("reading", iter([1, 2]))) == [1, 2]


def test_people_and_machines_get_their_own(capsys):
    for json in (False, True):
        made = Screen(json=json)
        made.show("for people")
        made.place("at runs/demo")
        made.result({"for": "machines"})
    assert capsys.readouterr().out == 'for people\nat runs/demo\n{\n  "for": "machines"\n}\n'


def test_a_record_is_plain_json():
    with pytest.raises(ValueError, match="not JSON compliant"):
        Screen(json=True).result({"loss": float("nan")})


def test_a_path_is_not_broken(capsys):
    path = "folder/" * 20
    Screen().place(f"report: {path}")
    assert capsys.readouterr().out == f"report: {path}\n"


def test_names_are_no_markup(capsys):
    Screen().show(table("name", rows=[["[red]x[/red]"]]))
    assert "[red]x[/red]" in capsys.readouterr().out


def test_piped_output_has_no_colours(capsys):
    Screen().show(table("name", "units", rows=[["fc", "8"]], right=True))
    assert "\x1b" not in capsys.readouterr().out
