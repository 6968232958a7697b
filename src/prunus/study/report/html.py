"""A report as one HTML page that works offline.

Everything is inline. A content security policy forbids every request, and every script but the
three that are written here, so that a name in the study can neither call home nor run.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from functools import singledispatch
from html import escape
from importlib.resources import files

from prunus.errors import StudyError
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
    Entry,
    Figures,
    Paragraph,
    Section,
    Table,
)


def to_html(document: Document) -> str:
    """Return the page.

    Raises:
        StudyError: plotly is not installed.
    """
    scripts = (_plotly(), _asset("draw.js"))
    style = _asset("style.css")
    links = "".join(
        f'<a href="#{section.name}">{_text(section.title)}</a>' for section in document.sections
    )
    body = "\n".join(_section(section) for section in document.sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="prunus">
<link rel="icon" href="data:,">
<title>{_text(document.title)}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<h1>{_text(document.title)}</h1>
<p>{_text(document.summary)}</p>
<nav aria-label="Contents">{links}</nav>
</header>
<main id="content">
{body}
</main>
<script type="application/json" id="chart-data">{_charts(document)}</script>
<script>{scripts[0]}</script>
<script>{scripts[1]}</script>
</body>
</html>
"""


def _plotly() -> str:
    """Return plotly.js, the library itself."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise StudyError(
            "the report cannot be drawn",
            why="plotly is not installed",
            hint="pip install 'prunus[report]'",
        ) from error
    return str(get_plotlyjs())


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _policy(scripts: Iterable[str]) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}"


def _charts(document: Document) -> str:
    """Return all charts as JSON that cannot end the script element it stands in."""
    blocks = (block for section in document.sections for block in section.blocks)
    charts = {
        block.name: {"data": block.data, "layout": block.layout}
        for block in blocks
        if isinstance(block, Chart)
    }
    return json.dumps(charts, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


# -- blocks -------------------------------------------------------------------------------------


def _section(section: Section) -> str:
    title = f'<h2 id="{section.name}-title">{_text(section.title)}</h2>'
    return (
        f'<section id="{section.name}" aria-labelledby="{section.name}-title">\n{title}\n'
        f"{_joined(section.blocks)}\n</section>"
    )


def _text(text: str) -> str:
    """Return text as HTML that shows it as it stands, and keeps a number and its % together."""
    return escape(text).replace(" %", "\u00a0%")


def _joined(blocks: Iterable[Block]) -> str:
    return "\n".join(_html(block) for block in blocks)


@singledispatch
def _html(block: Block) -> str:
    raise TypeError(f"no HTML for {type(block).__name__}")


@_html.register
def _(block: Paragraph) -> str:
    role = f' class="{block.role}"' if block.role else ""
    return f"<p{role}>{_text(block.text)}</p>"


@_html.register
def _(block: Bullets) -> str:
    title = f"<h3>{_text(block.title)}</h3>" if block.title else ""
    items = "".join(f"<li>{_text(item)}</li>" for item in block.items)
    return f"{title}<ul>{items}</ul>"


@_html.register
def _(block: Figures) -> str:
    pairs = "".join(
        f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in block.pairs
    )
    return f'<dl class="figures">{pairs}</dl>'


@_html.register
def _(block: Answer) -> str:
    first, *others = block.reasons
    reasons = "".join(f"<li>{_text(reason)}</li>" for reason in others)
    return (
        f'<div class="answer"><p class="aim">{_text(block.aim)}</p>'
        f"<h3>{_text(block.headline)}</h3><p>{_text(first)}</p>"
        + (f"<ul>{reasons}</ul>" if others else "")
        + "</div>"
    )


@_html.register
def _(block: Answers) -> str:
    return f'<div class="answers">{_joined(block.answers)}</div>'


@_html.register
def _(block: Balance) -> str:
    kinds = (("pro", "Advantage", block.advantages), ("con", "Drawback", block.drawbacks))
    items = "".join(
        f'<li class="{name}"><span class="unseen">{kind}: </span>{_text(sentence)}</li>'
        for name, kind, sentences in kinds
        for sentence in sentences
    )
    return f'<h4>{_text(block.title)}</h4><ul class="balance">{items}</ul>'


@_html.register
def _(block: Card) -> str:
    return (
        f'<article class="card"><h3>{_text(block.title)} <span>{_text(block.tag)}</span></h3>\n'
        f"{_joined(block.blocks)}</article>"
    )


@_html.register
def _(block: Cards) -> str:
    return f'<div class="cards">{_joined(block.cards)}</div>'


@_html.register
def _(block: Chart) -> str:
    numbers = ""
    if block.numbers is not None:
        numbers = f"<details><summary>The same as numbers</summary>{_html(block.numbers)}</details>"
    return (
        f'<figure aria-labelledby="{block.name}-title">'
        f'<h3 id="{block.name}-title">{_text(block.title)}</h3>'
        f"<figcaption>{_text(block.caption)}</figcaption>"
        f'<div class="plot" id="{block.name}" role="img" aria-label="{_text(block.alt)}" '
        f'style="height:{block.height}px"></div>{numbers}</figure>'
    )


@_html.register
def _(block: Table) -> str:
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in block.columns)
    bodies = []
    for part in block.parts:
        title = ""
        if part.title:
            title = (
                f'<tr><th scope="rowgroup" colspan="{len(block.columns)}">'
                f"{_text(part.title)}</th></tr>"
            )
        rows = "".join(f"<tr>{_row(row)}</tr>" for row in part.rows)
        bodies.append(f"<tbody>{title}{rows}</tbody>")
    caption = _text(block.caption)
    return (
        f'<div class="scroll" role="region" aria-label="{caption}" tabindex="0">'
        f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead>"
        f"{''.join(bodies)}</table></div>"
    )


def _row(row: tuple[Entry, ...]) -> str:
    first, *others = row
    cells = "".join(f"<td{_tone(entry)}>{_text(entry.text)}</td>" for entry in others)
    return f'<th scope="row"{_tone(first)}>{_text(first.text)}</th>{cells}'


def _tone(entry: Entry) -> str:
    return f' class="{entry.tone}"' if entry.tone else ""
