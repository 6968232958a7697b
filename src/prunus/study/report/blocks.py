"""What a report is made of. All text is plain: the renderers escape it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Tone: TypeAlias = Literal["", "good", "bad", "open", "quiet"]


@dataclass(frozen=True)
class Entry:
    """One cell of a table."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Some rows of a table, under a title of their own unless it is ""."""

    title: str = ""
    rows: tuple[tuple[Entry, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table. The first entry of each row is its name."""

    caption: str
    columns: tuple[str, ...]
    parts: tuple[Rows, ...]


@dataclass(frozen=True)
class Paragraph:
    """Some sentences; a note is small print."""

    text: str
    role: Literal["", "note"] = ""


@dataclass(frozen=True, kw_only=True)
class Bullets:
    """A list; with a title unless it is ""."""

    title: str = ""
    items: tuple[str, ...]


@dataclass(frozen=True)
class Figures:
    """A few figures with their names: ("Test items", "360")."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure that plotly draws.

    Attributes:
        name: Unique; an HTML id.
        title: What it shows, in a few words.
        caption: How to read it.
        alt: What a reader who does not see it should know.
        height: In pixels.
        data: Traces of plotly.
        layout: Layout of plotly, without colours of text and lines: the page sets them.
        numbers: The same as a table, where no other table of the report has it.
    """

    name: str
    title: str
    caption: str
    alt: str
    height: int
    data: tuple[Mapping[str, Any], ...]
    layout: Mapping[str, Any]
    numbers: Table | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A recommendation: what it is for, it in one sentence, and its reasons."""

    aim: str
    headline: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Answers:
    """Recommendations side by side where there is room."""

    answers: tuple[Answer, ...]


@dataclass(frozen=True, kw_only=True)
class Balance:
    """What speaks for a thing, and what against it."""

    title: str
    advantages: tuple[str, ...]
    drawbacks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Card:
    """What there is to say about one strategy."""

    title: str
    tag: str
    blocks: tuple["Paragraph | Balance | Table", ...]


@dataclass(frozen=True)
class Cards:
    """Cards side by side where there is room."""

    cards: tuple[Card, ...]


Block: TypeAlias = (
    Paragraph | Bullets | Figures | Table | Chart | Answer | Answers | Balance | Card | Cards
)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the report under one heading.

    Attributes:
        name: Unique; an HTML id.
        title: The heading.
        blocks: What stands in it.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A whole report."""

    title: str
    summary: str
    sections: tuple[Section, ...]
