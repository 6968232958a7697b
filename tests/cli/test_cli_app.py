"""The commands as a whole: help, version, examples, exit codes, start-up."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pages
import pytest
from typer.main import get_command

import prunus
from prunus import criteria
from prunus.cli.app import COMMANDS, app
from prunus.study import strategies

NAMES = [module.__name__.rpartition(".")[2] for module in COMMANDS]


def joined(text: str) -> str:
    """Return shell text with lines that a backslash continues put together."""
    return re.sub(r"\\\n\s*", "", text)


def examples() -> Iterator[list[str]]:
    """Yield the words of every command in the help texts, the README and the documentation."""
    consoles = [block for page in pages.every() for block in pages.blocks(page)]
    texts = [block.code for block in consoles if block.language == "console"]
    for text in [*(module.EXAMPLES for module in COMMANDS), *texts]:
        for line in re.findall(r"^(?:\$ )?prunus (.*)$", joined(text), re.MULTILINE):
            yield shlex.split(re.split(r"&&|\||>", line)[0], comments=True)


def parsed(words: list[str]) -> object:
    """Parse a command without running it; raise what typer raises."""
    command = get_command(app).commands[words[0]]
    return command.make_context(words[0], words[1:])


@pytest.mark.parametrize("words", examples(), ids=" ".join)
def test_examples_parse(words) -> None:
    parsed(words)


def test_a_wrong_example_fails() -> None:
    with pytest.raises(Exception, match="No such option: --bugdet"):
        parsed(["prune", "net:mlp", "--bugdet", "macs=0.5"])


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_examples_in_80_columns(run, name) -> None:
    text = run(name, "--help").stdout
    assert f"prunus {name}" in text.partition("Examples:")[2]
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "..." not in text


def test_help_lists_every_command_with_all_of_its_first_sentence(run) -> None:
    text = run("--help").stdout
    assert all(re.search(rf"^  {name} .*\.$", text, re.MULTILINE) for name in NAMES)
    assert "..." not in text.partition("Commands:")[2]
    assert "3 worse" in text


def test_help_names_what_there_is(run) -> None:
    pruning, comparing = (run(name, "--help").stdout for name in ("prune", "compare"))
    assert all(name in pruning for name in criteria.names())
    assert all(one.name in comparing for one in strategies("channel"))


def test_no_command_shows_the_help(run) -> None:
    assert "Commands:" in run(code=2).output


def test_version(run) -> None:
    assert run("--version").stdout == f"prunus {prunus.__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["prun"], "Did you mean 'prune'"),
        (["prune", "net:mlp"], "Missing option '--budget'"),
        (["prune", "net:mlp", "--budget", "macs"], "'macs' is not figure=amount"),
        (["prune", "net:mlp", "--budget", "macs=1", "--budget", "macs=2"], "given twice"),
        (["inspect", "net:mlp", "--input", "1x1xa"], "'1x1xa' is no shape"),
        (["inspect", "net:mlp", "--input", "0x4"], "'0x4' is no shape"),
        (["prune", "net:mlp", "--budget", "macs=1", "--dense-epochs", "3"], "--weights FILE"),
        (["bench", "small", "--batch", "0"], "--batch"),
    ],
)
def test_wrong_usage(run, words, message) -> None:
    result = run(*words, code=2)
    assert message in re.sub(r"\s+", " ", result.stderr)
    assert result.stdout == ""


def test_the_module_is_the_script() -> None:
    code = [sys.executable, "-m", "prunus.cli", "--version"]
    done = subprocess.run(code, capture_output=True, text=True, check=True)
    assert done.stdout == f"prunus {prunus.__version__}\n"


def test_the_command_line_imports_nothing_slow_until_a_command_runs() -> None:
    # `prunus` itself imports torch, so an empty package of that name stands in for it.
    code = (
        "import sys, types; root = types.ModuleType('prunus'); "
        f"root.__path__ = [{str(Path(prunus.__file__).parent)!r}]; sys.modules['prunus'] = root; "
        "import prunus.cli.app; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


