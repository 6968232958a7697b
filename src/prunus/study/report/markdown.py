"""A report as Markdown: the same sentences and tables, without figures."""

import re
from collections.abc import Iterable
from functools import singledispatch

from prunus.study.report.blocks import (
    Answer,
    Answers,
    Balance,
    Block,
    Bullets,
    Card,
    Cards,
    Chart,
    Document,
    Figures,
    Paragraph,
    Section,
    Table,
)

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")


def to_markdown(document: Document) -> str:
    """Return the text."""
    parts = [f"# {_plain(document.title)}", _plain(document.summary)]
    parts += [_section(section) for section in document.sections]
    return "\n\n".join(parts) + "\n"


def _plain(text: str) -> str:
    """Return text so that it is shown as it stands: no markup, no HTML, one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _section(section: Section) -> str:
    return f"## {_plain(section.title)}\n\n{_joined(section.blocks)}"


def _joined(blocks: Iterable[Block]) -> str:
    return "\n\n".join(text for text in map(_markdown, blocks) if text)


def _items(items: Iterable[str]) -> str:
    return "\n".join(f"- {_plain(item)}" for item in items)


@singledispatch
def _markdown(block: Block) -> str:
    raise TypeError(f"no Markdown for {type(block).__name__}")


@_markdown.register
def _(block: Paragraph) -> str:
    return _plain(block.text)


@_markdown.register
def _(block: Bullets) -> str:
    title = f"{_plain(block.title)}:\n\n" if block.title else ""
    return title + _items(block.items)


@_markdown.register
def _(block: Figures) -> str:
    return "\n".join(f"- {_plain(name)}: {_plain(value)}" for name, value in block.pairs)


@_markdown.register
def _(block: Answer) -> str:
    return f"{_plain(block.aim)}:\n\n**{_plain(block.headline)}**\n\n{_items(block.reasons)}"


@_markdown.register
def _(block: Answers) -> str:
    return _joined(block.answers)


@_markdown.register
def _(block: Balance) -> str:
    sentences = [f"Advantage: {sentence}" for sentence in block.advantages]
    sentences += [f"Drawback: {sentence}" for sentence in block.drawbacks]
    return f"{_plain(block.title)}:\n\n{_items(sentences)}"


@_markdown.register
def _(block: Card) -> str:
    return f"### {_plain(block.title)} ({_plain(block.tag)})\n\n{_joined(block.blocks)}"


@_markdown.register
def _(block: Cards) -> str:
    return _joined(block.cards)


@_markdown.register
def _(block: Chart) -> str:
    return _markdown(block.numbers) if block.numbers is not None else ""


@_markdown.register
def _(block: Table) -> str:
    parts = [_plain(block.caption)]
    head = [_line(map(_plain, block.columns)), _line(["---"] * len(block.columns))]
    for part in block.parts:
        rows = [_line(_plain(entry.text) for entry in row) for row in part.rows]
        title = [f"**{_plain(part.title)}**\n"] if part.title else []
        parts.append("\n".join([*title, *head, *rows]))
    return "\n\n".join(parts)


def _line(entries: Iterable[str]) -> str:
    return f"| {' | '.join(entries)} |"
