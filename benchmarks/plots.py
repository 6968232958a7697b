"""Draw the strategies that were measured: python benchmarks/plots.py

From each benchmarks/results/strategies-DATASET.json to docs/strategies/DATASET.svg: one row a
strategy; accuracy right after the cut, with batch norms measured anew, and after recovery, with the
spread over seeds. Written by hand, so that the documentation needs no library for it.
"""

import json
import statistics
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any, TypeAlias
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ROOT / "docs" / "strategies"

Row: TypeAlias = dict[str, Any]

NAMES, PANEL, GAP, LINE, TOP = 150, 190, 44, 18, 76  # pixels
LEVELS = {"channel": "channels", "weight": "weights"}
PANELS = {
    "accuracy_cut": "after the cut",
    "accuracy_batch_norm": "batch norms anew",
    "accuracy": "after recovery",
}
WIDTH = NAMES + len(PANELS) * (PANEL + GAP)
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #333; }
.title { font-size: 14px; font-weight: 600; }
.tick { fill: #777; }
.grid { stroke: #ddd; }
.dense { stroke: #777; stroke-dasharray: 4 3; }
.pruned { stroke: #0b6bcb; fill: #0b6bcb; }
.control { stroke: #888; fill: #888; }
.hollow { fill: none; }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd; } .tick { fill: #999; } .grid { stroke: #444; } .dense { stroke: #999; }
  .pruned { stroke: #62aaf2; fill: #62aaf2; } .hollow { fill: none; }
}
"""


def drawing(result: dict[str, Any]) -> str:
    """Return the picture of one data set as SVG: a part for each granularity."""
    parts, top = [], 0
    for level, word in LEVELS.items():
        rows = [row for row in result["rows"] if row["granularity"] == level]
        rows.sort(key=lambda row: -row["accuracy"])
        parts += part(rows, result["dense"]["accuracy"], f"{word}, {rows[0]['budget']}", top)
        top += TOP + LINE * len(rows) + GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}">'
    title = f"<title>{escape(result['title'])}</title>"
    return "\n".join([head, title, f"<style>{STYLE}</style>", *parts, "</svg>\n"])


def part(rows: list[Row], dense: float, title: str, top: int) -> Iterator[str]:
    """Yield one granularity: names, and a panel for each accuracy."""
    yield text(0, top + 18, title, "title")
    for number, row in enumerate(rows):
        yield text(0, middle(number, top) + 4, row["strategy"])
    for panel, (figure, word) in enumerate(PANELS.items()):
        left = NAMES + panel * (PANEL + GAP)
        values = [value for row in rows for value in row["seeds"][figure] if value is not None]
        scale = Scale(left, lower_end(values) if figure == "accuracy" else 0.0)
        bottom = top + TOP + LINE * len(rows)
        yield text(left, top + 40, word)
        yield from scale.grid(top + TOP - 14, bottom)
        yield scale.upright(dense, top + TOP - 8, bottom, "dense")
        for number, row in enumerate(rows):
            yield from mark(row, figure, scale, middle(number, top))


class Scale:
    """Accuracies to pixels: `low` lies at `left`, and 1 at the right end of a panel."""

    def __init__(self, left: int, low: float) -> None:
        self.left, self.low = left, low

    def __call__(self, value: float) -> float:
        """Return where an accuracy lies; what is below the axis at its end."""
        return round(self.left + PANEL * max(value - self.low, 0) / (1 - self.low), 1)

    def grid(self, top: int, bottom: int) -> Iterator[str]:
        """Yield an upright line with its number at each of five places."""
        for number in range(5):
            value = self.low + (1 - self.low) * number / 4
            yield self.upright(value, top + 4, bottom, "grid")
            yield text(self(value), top, f"{value:.0%}", "tick", anchor="middle")

    def upright(self, value: float, top: int, bottom: int, kind: str) -> str:
        """Return an upright line."""
        x = self(value)
        return f'<line class="{kind}" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>'


def mark(row: Row, figure: str, scale: Scale, y: int) -> Iterator[str]:
    """Yield a dot at the mean over seeds, on a line from the worst to the best."""
    values, mean = [value for value in row["seeds"][figure] if value is not None], row[figure]
    if values:
        kind = "pruned" if row["kind"] == "pruned" else "control"
        ends = scale(min(values)), scale(max(values))
        yield f'<line class="{kind}" x1="{ends[0]}" x2="{ends[1]}" y1="{y}" y2="{y}"/>'
        hollow = "" if figure == "accuracy" else " hollow"
        dot = f'<circle class="{kind}{hollow}" cx="{scale(mean)}" cy="{y}" r="4">'
        yield f"{dot}<title>{escape(row['strategy'])}: {mean:.1%}</title></circle>"
        if mean < scale.low:
            yield text(scale(mean) + 8, y + 4, f"{mean:.0%}", "tick")


def middle(number: int, top: int) -> int:
    """Return where the row of that number lies."""
    return top + TOP + LINE * number + LINE // 2


def lower_end(values: list[float]) -> float:
    """Return where an axis begins: below all but what falls far off, whole points at its ticks."""
    quarter, _, three_quarters = statistics.quantiles(values, n=4)
    usual = quarter - 3 * (three_quarters - quarter)
    low = min(value for value in values if value >= usual)
    return max(1 - 0.04 * max(ceil((1 - low) / 0.04), 1), 0.0)


def text(x: float, y: float, words: str, kind: str = "", *, anchor: str = "start") -> str:
    """Return a piece of text."""
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'


def pictures() -> Iterator[tuple[Path, str]]:
    """Yield the file and the text of the picture of every data set that was measured."""
    for path in sorted(RESULTS.glob("strategies-*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        yield PAGES / f"{path.stem.removeprefix('strategies-')}.svg", drawing(result)


def main() -> None:
    for path, svg in pictures():
        path.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
