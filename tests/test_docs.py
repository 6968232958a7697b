"""What the documentation shows is run: code, commands, and targets of make."""

import os
import re
import shlex
import subprocess
import sys
from functools import cache, partial
from pathlib import Path

import pages
import pytest
from pages import Block
from pretended import numbers_read

from prunus._version import __version__
from prunus.cost.timing import measure_table


def code(page: Path, language: str) -> list[Block]:
    return [block for block in pages.blocks(page) if block.language == language]


def with_code(language: str) -> list[Path]:
    return [page for page in pages.every() if code(page, language)]


def commands(page: Path) -> list[list[str]]:
    """Return the words of each `$ prunus ...` in the console blocks of a page."""
    consoles = "\n".join(block.code for block in code(page, "console"))
    lines = re.findall(r"^\$ prunus\b(.*)$", consoles, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


@cache
def usage(command: str) -> str:
    """Return what `prunus COMMAND --help` prints."""
    words = [word for word in (command, "--help") if word]
    code = "from prunus.cli import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )
    return run.stdout


@pytest.mark.parametrize("page", with_code("python"), ids=pages.name)
def test_code_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    untimed = partial(measure_table, watch=numbers_read, whole=lambda *_: lambda: 1.0)
    monkeypatch.setattr("prunus.latency.measure_table", untimed)  # no test depends on time
    names = {"__name__": "__main__"}
    for block in code(page, "python"):
        exec(compile("\n" * block.line + block.code, page, "exec"), names)


@pytest.mark.parametrize("page", with_code("console"), ids=pages.name)
def test_commands_exist_with_their_options(page: Path) -> None:
    for words in commands(page):
        command = words[0] if words and not words[0].startswith("-") else ""
        for word in words:
            if word.startswith("-"):
                assert word.split("=")[0] in usage(command), f"prunus {command} has no {word}"


def test_targets_of_make_exist() -> None:
    makefile = (pages.ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    more = [pages.ROOT / "CONTRIBUTING.md", pages.ROOT / "benchmarks" / "README.md"]
    for page in pages.every() + more:
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"`make ([a-z]+)", text) + re.findall(r"^\$ make ([a-z]+)", text, re.M)
        assert set(named) <= targets, pages.name(page)


def test_the_top_version_of_the_changelog_is_this_one() -> None:
    changelog = (pages.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[(\d.*?)\]", changelog, re.MULTILINE)[1] == __version__


def test_a_block_knows_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n```python\nraise ValueError\n```\n", encoding="utf-8")

    assert pages.blocks(page) == [Block("python", "raise ValueError\n", 3)]
    assert pages.heading_levels(page) == [1]
