"""What can be typed: the commands, their help, and the examples in it."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pages
import pytest
import typer

import prunus
from prunus import __version__, allocate
from prunus.cli.app import COMMANDS, app
from prunus.cli.errors import Exit
from prunus.study import strategies

PAGE = (pages.DOCS / "command_line.md").read_text(encoding="utf-8")


def name_of(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def commands_in(text: str) -> list[list[str]]:
    """Return the words of each `prunus ...` in `text`, up to a shell operator."""
    lines = text.replace("\\\n", " ").strip().splitlines()
    typed = [line.removeprefix("$ ").partition("&&")[0] for line in lines]
    return [shlex.split(line, comments=True) for line in typed if line.startswith("prunus ")]


EXAMPLES = [words for module in COMMANDS for words in commands_in(module.EXAMPLES)]
BLOCKS = [block for page in pages.every() for block in pages.blocks(page)]
SHOWN = [block.code for block in BLOCKS if block.language == "console"]
CONSOLE = [words for code in SHOWN for words in commands_in(code)]


def test_version(run):
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"prunus {__version__}\n")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_the_commands_and_the_exit_codes(run, option):
    result = run(option)
    assert result.exit_code == 0
    assert all(f"\n  {name_of(module)} " in result.stdout for module in COMMANDS)
    assert "Exit codes: 0 done, 1 error, 2 wrong usage" in result.stdout


@pytest.mark.parametrize("module", COMMANDS, ids=name_of)
def test_help_of_a_command_shows_its_examples_as_they_are_typed(run, module):
    result = run(name_of(module), "--help")
    assert result.exit_code == 0
    shown = [line.strip() for line in result.stdout.splitlines()]
    assert all(line.strip() in shown for line in module.EXAMPLES.strip().splitlines())


@pytest.mark.parametrize("words", [*EXAMPLES, *CONSOLE], ids=shlex.join)
def test_examples_can_be_typed(run, words):
    assert run(*words[1:], "--help").exit_code == 0


@pytest.mark.parametrize("words", [*EXAMPLES, *CONSOLE], ids=shlex.join)
def test_values_in_examples_are_understood(words):
    command = typer.main.get_command(app).commands[words[1]]
    assert command.make_context(words[1], words[2:]).params


def test_the_page_has_every_command_and_every_exit_code():
    assert set(re.findall(r"^\| `prunus (\w+)", PAGE, flags=re.MULTILINE)) == {
        name_of(module) for module in COMMANDS
    }
    assert set(map(int, re.findall(r"^\| (\d+) \|", PAGE, flags=re.MULTILINE))) == set(Exit)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ((), "Commands:"),
        (("prun",), "No such command 'prun'"),
        (("inspect",), "Missing argument 'MODEL'"),
        (("prune",), "Missing argument 'MODEL'"),
        (("inspect", "net:mlp", "--budgets"), "No such option"),
        (("inspect", "net:mlp", "--input", "8by8"), "'8by8' is no shape"),
        (("inspect", "net:mlp", "--input", "1x0"), "'1x0' is no shape"),
        (("prune", "net:mlp", "--budget", "0.5"), "'0.5' is not figure=amount"),
        (("prune", "net:mlp", "--budget", "macs=0.5,macs=0.4"), "'macs=0.4' is given twice"),
        (("prune", "net:mlp", "--budget", "macs=0.5", "--dense-epochs", "1"), "needs --weights"),
        (("bench", "small", "--batch", "0"), "Invalid value for '--batch'"),
    ],
)
def test_wrong_usage_is_said_and_exits_with_2(run, typed, words):
    result = run(*typed)
    assert result.exit_code == Exit.USAGE
    assert words in result.output


# -- help -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [None, *COMMANDS], ids=lambda module: module and name_of(module))
def test_help_fits_80_columns_and_is_whole(run, module):
    text = run(*([name_of(module)] if module else []), "--help").stdout
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "..." not in text.replace("[ARGS]...", "")


def test_help_names_what_there_is(run):
    pages = (run(name, "--help").stdout for name in ("prune", "compare"))
    pruning, comparing = (re.sub(r"\s", "", page) for page in pages)  # lines break anywhere
    assert all(name in pruning for name in ("magnitude", "taylor", "sparsegpt", *allocate.names()))
    assert all(one.name in comparing for one in strategies("channel"))


# -- start ----------------------------------------------------------------------------------------


def test_the_module_is_the_script():
    words = [sys.executable, "-m", "prunus.cli", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == f"prunus {__version__}\n"


def test_nothing_slow_is_imported_before_a_command_runs():
    # `prunus` itself imports torch, so an empty package of that name stands in for it.
    code = (
        "import sys, types; root = types.ModuleType('prunus'); "
        f"root.__path__ = [{str(Path(prunus.__file__).parent)!r}]; sys.modules['prunus'] = root; "
        "import prunus.cli.app; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
