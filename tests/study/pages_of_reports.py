"""A report as its reader sees it: headings, tables, paragraphs; and whether the HTML is sound."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    children: list["Element | str"] = field(default_factory=list)

    def text(self) -> str:
        """Return the text inside, spaces as on screen."""
        return " ".join(self._raw().split())

    def _raw(self) -> str:
        return "".join(child if isinstance(child, str) else child._raw() for child in self.children)

    def all(self, tag: str) -> list["Element"]:
        """Return all elements below of this tag, in order."""
        found = []
        for child in self.children:
            if isinstance(child, Element):
                found += ([child] if child.tag == tag else []) + child.all(tag)
        return found


class Page(HTMLParser):
    """Reads HTML; an AssertionError where an element is closed that is not the open one."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open = [Element("", {})]
        self.feed(html)
        self.close()
        assert len(self.open) == 1, f"<{self.open[-1].tag}> is not closed"
        self.root = self.open[0]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)

    def rows(self, caption: str) -> list[list[str]]:
        """Return the rows of the table whose caption starts so, titles of parts included."""
        (table,) = [
            table
            for table in self.root.all("table")
            if table.all("caption")[0].text().startswith(caption)
        ]
        return [
            [cell.text() for cell in row.children if isinstance(cell, Element)]
            for row in table.all("tr")
        ]
