"""How the charts of a report look: one style per strategy, and scales that show what matters."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

from prunus.study.analysis import Analysis
from prunus.study.words import Unit, unit_of

# Told apart on a light and on a dark page (contrast of 3.5 or more on both), and by most
# colour-blind readers; marker and dash tell them apart without colour.
COLOURS = (
    "#3579c4",
    "#d0662a",
    "#1f8f63",
    "#8f63c9",
    "#cc3f56",
    "#1691a8",
    "#c44f97",
    "#97801c",
)
GREY = "#7d8590"
FAINT = "rgba(125,133,144,0.18)"
_MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "pentagon")
_DASHES = ("solid", "8px,3px", "2px,2px", "10px,3px,2px,3px", "14px,4px")
ROW = 22  # pixels of a row

_TICKS = (  # accuracies in percent
    *(100, 99.99, 99.98, 99.95, 99.9, 99.8, 99.7, 99.5, 99.3),
    *(99, 98.5, 98, 97, 96, 95, 93, 90, 85, 80, 70, 60, 50, 40, 20, 0),
)
_SHARES = (0.1, 0.2, 0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100)
_APART = 0.07  # of the axis, at least between two ticks
_STRETCH = 5.0  # largest error over smallest, from which on the scale is stretched


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a strategy is drawn."""

    colour: str
    marker: str
    dash: str


def styles(found: Analysis) -> Mapping[str, Style]:
    """Return a style per strategy: the same in all charts; grey for what is no strategy."""
    controls = {
        "control": Style(colour=GREY, marker="x", dash="5px,4px"),
        "scratch": Style(colour=GREY, marker="star", dash="2px,3px"),
    }
    chosen = {}
    pruned = 0
    for strategy in found.strategies:
        kind = found.of(strategy)[0].kind
        if kind == "pruned":
            chosen[strategy] = Style(
                colour=COLOURS[pruned % len(COLOURS)],
                marker=_MARKERS[pruned % len(_MARKERS)],
                dash=_DASHES[pruned % len(_DASHES)],
            )
            pruned += 1
        else:
            chosen[strategy] = controls[kind]
    return chosen


def safe(name: str) -> str:
    """Return a name so that plotly, which knows some HTML, shows it as it stands.

    Example:
        >>> safe("<b>")
        '&lt;b&gt;'
    """
    return escape(name, quote=False)


def labels(names: Sequence[str]) -> list[str]:
    """Return names short enough for an axis, and safe in plotly's text.

    What all of them end with, such as ".weight", is left out; the end of a name says more than
    its middle.

    Example:
        >>> labels(["stem.weight", "blocks.12.attention.output.weight"]), labels(["<b>"])
        (['stem', 'blocks…ttention.output'], ['&lt;b&gt;'])
    """
    if len(names) > 1 and all(name.endswith(".weight") for name in names):
        names = [name.removesuffix(".weight") for name in names]
    return [short(name) for name in names]


def short(name: str, length: int = 22) -> str:
    """Return a name of at most `length` characters, safe in plotly's text."""
    return safe(name if len(name) <= length else f"{name[:6]}…{name[-(length - 7) :]}")


# -- scales -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class AccuracyScale:
    """Where an accuracy stands on an axis.

    Where some networks make many times the errors of others, the scale is stretched towards
    100 %, so that both a collapse and half a point are seen: equal steps are equal ratios of
    errors.

    Attributes:
        stretched: Whether it is.
        least: Smallest error that is shown, half a test item.
        unit: How accuracies are written.
    """

    stretched: bool
    least: float
    unit: Unit

    def place(self, accuracy: float) -> float:
        """Return the position of an accuracy."""
        if self.unit.shares:
            accuracy = min(max(accuracy, 0.0), 1.0)
        if not self.stretched:
            return self.unit.factor * accuracy
        return -math.log10(max(1 - accuracy, self.least))

    def axis(self, accuracies: Sequence[float]) -> dict[str, Any]:
        """Return plotly's axis for these accuracies, with some room for whiskers."""
        low, high = self.place(min(accuracies)), self.place(max(accuracies))
        room = (high - low) or 1.0
        low, high = low - 0.05 * room, high + 0.2 * room
        axis: dict[str, Any] = {"range": [low, high], "zeroline": False}
        if not self.stretched:
            return axis | {"ticksuffix": self.unit.suffix}
        shown: dict[float, str] = {}
        last = high
        for tick in _TICKS:
            position = self.place(tick / 100)
            if (self.least < 1 - tick / 100 or tick == 100) and low <= position <= last:
                shown[position] = f"{tick:g} %"
                last = position - _APART * room
        return axis | {"tickvals": list(shown), "ticktext": list(shown.values())}


def accuracy_scale(accuracies: Iterable[float], found: Analysis) -> AccuracyScale:
    """Return the scale that shows all of these accuracies."""
    least = 0.5 / found.facts.items
    errors = [max(1 - accuracy, least) for accuracy in accuracies]
    return AccuracyScale(
        stretched=found.shares and max(errors) > _STRETCH * min(errors),
        least=least,
        unit=unit_of(found),
    )


def share_axis(shares: Sequence[float], title: str) -> dict[str, Any]:
    """Return a logarithmic axis of what is kept, in percent."""
    least, most = 0.85 * min(shares), 1.2 * max(shares)
    ticks = [tick for tick in _SHARES if least <= tick <= most]
    return {
        "type": "log",
        "range": [math.log10(least), math.log10(most)],
        "tickvals": ticks,
        "ticktext": [f"{tick:g} %" for tick in ticks],
        "title": {"text": title},
        "zeroline": False,
    }


def ratio_axis(ratios: Sequence[float], title: str) -> dict[str, Any]:
    """Return a logarithmic axis that shows 1, 2 and these ratios."""
    least, most = 0.8 * min([*ratios, 1.0]), 1.25 * max([*ratios, 2.0])
    return {
        "type": "log",
        "range": [math.log10(least), math.log10(most)],
        "tickvals": [tick for tick in (0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 50) if tick <= most],
        "ticksuffix": "x",
        "title": {"text": title},
        "zeroline": False,
    }


# -- rows ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RowPlan:
    """Rows of a chart from top to bottom, in parts with a title each.

    Attributes:
        titles: (row where the title stands, title) of each part.
        rows: (row, name) of the others.
        count: Number of rows, those of the titles included.
    """

    titles: tuple[tuple[float, str], ...]
    rows: tuple[tuple[int, str], ...]
    count: int

    def parts(self) -> list[tuple[str, list[int]]]:
        """Return each part: its title and its rows."""
        ends = [*(row for row, _ in self.titles[1:]), self.count]
        return [
            (title, [row for row, _ in self.rows if start < row < end])
            for (start, title), end in zip(self.titles, ends, strict=True)
        ]

    def axis(self) -> dict[str, Any]:
        """Return plotly's vertical axis."""
        return {
            "range": [self.count - 0.4, -0.6],
            "tickvals": [row for row, _ in self.rows],
            "ticktext": labels([name for _, name in self.rows]),
            "showgrid": False,
            "zeroline": False,
            "ticks": "",
            "automargin": True,
        }

    def annotations(self) -> list[dict[str, Any]]:
        """Return the titles as plotly's annotations, at the left edge of the plot."""
        return [
            {
                "text": f"<b>{safe(title)}</b>",
                "xref": "paper",
                "x": 0,
                "xanchor": "left",
                "y": row,
                "yref": "y",
                "yanchor": "middle",
                "showarrow": False,
            }
            for row, title in self.titles
        ]


def row_plan(parts: Iterable[tuple[str, Sequence[str]]], *, space: int = 1) -> RowPlan:
    """Number the rows of parts: (title, names of the rows).

    Args:
        parts: In order.
        space: Rows that a title takes.

    Example:
        >>> plan = row_plan([("half", ["a", "b"]), ("tenth", ["a"])])
        >>> plan.titles, plan.rows
        (((0.0, 'half'), (3.0, 'tenth')), ((1, 'a'), (2, 'b'), (4, 'a')))
    """
    titles: list[tuple[float, str]] = []
    rows: list[tuple[int, str]] = []
    start = 0
    for title, names in parts:
        titles.append((start + (space - 1) / 2, title))
        start += space
        rows += [(start + offset, name) for offset, name in enumerate(names)]
        start += len(names)
    return RowPlan(titles=tuple(titles), rows=tuple(rows), count=start)


def layout(
    kind: Literal["plane", "rows"], *, xaxis: Any, yaxis: Any, **more: Any
) -> dict[str, Any]:
    """Return a layout that is calm and fits a phone: legend above, no dragging, small margins."""
    margin = {"plane": {"l": 52, "r": 14}, "rows": {"l": 20, "r": 20}}[kind]
    return {
        "xaxis": xaxis,
        "yaxis": yaxis,
        "margin": {**margin, "t": 20, "b": 50},
        "hovermode": "closest",
        "dragmode": False,
        "legend": {
            "orientation": "h",
            "traceorder": "normal",
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
        },
        **more,
    }
