"""Every Chinese page has the headings and the code of its English page."""

import re
from pathlib import Path

import pages
import pytest


def translated(page: Path) -> Path:
    """Return where the Chinese twin of a page lies."""
    if page.parent == pages.ROOT:
        return page.with_suffix(".zh-CN.md")
    return pages.CHINESE / page.relative_to(pages.DOCS)


def twins() -> dict[Path, Path]:
    """Return Chinese page -> English page; the reference is made from docstrings and has none."""
    without = (pages.CHINESE, pages.DOCS / "reference")
    english = [
        page
        for page in sorted(pages.DOCS.rglob("*.md"))
        if not any(page.is_relative_to(folder) for folder in without)
    ]
    return {translated(page): page for page in [pages.ROOT / "README.md", *english]}


def code(page: Path) -> list[tuple[str, str]]:
    """Return the blocks of code of a page, without their comments."""
    return [(b.language, re.sub(r"[ \t]*#.*", "", b.code)) for b in pages.blocks(page)]


def differences(chinese: Path, english: Path) -> list[str]:
    """Return in what the structure of two pages differs."""
    if not chinese.exists():
        return [f"{chinese} is missing"]
    found = []
    if pages.heading_levels(chinese) != pages.heading_levels(english):
        found.append("headings")
    if code(chinese) != code(english):
        found.append("code")
    return found


@pytest.mark.parametrize(("chinese", "english"), twins().items(), ids=pages.name)
def test_twins_have_the_same_headings_and_code(chinese: Path, english: Path) -> None:
    assert differences(chinese, english) == []


def test_every_chinese_page_has_an_english_one() -> None:
    assert set(pages.CHINESE.rglob("*.md")) <= set(twins())


def test_comments_may_differ_and_nothing_else(tmp_path: Path) -> None:
    texts = {
        "english": "# One\n```python\nprune()  # cut\n```\n",
        "comment": "# 一\n```python\nprune()  # 剪枝\n```\n",
        "heading": "# 一\n## 二\n```python\nprune()\n```\n",
        "code": "# 一\n```python\nprune(model)\n```\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    english = tmp_path / "english"

    assert differences(tmp_path / "comment", english) == []
    assert differences(tmp_path / "heading", english) == ["headings"]
    assert differences(tmp_path / "code", english) == ["code"]
    assert "missing" in differences(tmp_path / "nowhere", english)[0]
