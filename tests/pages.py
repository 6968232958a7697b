"""Markdown as the tests of the documentation see it: headings and blocks of code."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CHINESE = DOCS / "zh-CN"

FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code and the line on which it starts."""

    language: str
    code: str
    line: int


def every() -> list[Path]:
    """Return the README, all pages of the documentation, and their Chinese twins."""
    return [*sorted(ROOT.glob("README*.md")), *sorted(DOCS.rglob("*.md"))]


def name(page: Path) -> str:
    """Return the path of a page as tests show it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """Return the blocks of code of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(found["language"], found["code"], text.count("\n", 0, found.start("code")))
        for found in FENCE.finditer(text)
    ]


def heading_levels(page: Path) -> list[int]:
    """Return the level of every heading of a page."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [len(hashes) for hashes in re.findall(r"^(#+) ", text, re.MULTILINE)]
