"""The picture as one HTML page that works offline: no script, no request."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from math import prod, sqrt

from prunus.explanation import Explanation
from prunus.picture.layers import Layer, Piece, layers
from prunus.records import Group, Plan
from prunus.text import amount, share

_WORDS = {
    "free": "may lose units",
    "asked": "removal is not exact: only when asked for by name",
    "frozen": "frozen",
    "fixed": "no units",
}


def picture(explanation: Explanation, *, plan: Plan | None = None, title: str = "Network") -> str:
    """Return an HTML page that shows a network layer by layer, and every group with its reasons.

    Bars are as long as a layer is wide (by the root of its units), and filled as far as it stays.

    Args:
        explanation: From `prunus.explain`.
        plan: What was kept, as in `pruned.plan`; without one all is kept.
        title: Of the page.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> pruned = prunus.prune(model, torch.randn(1, 4), budget=prunus.Budget(units=0.5))
        >>> page = prunus.picture(prunus.explain(model, torch.randn(1, 4)), plan=pruned.plan)
        >>> "4 of 8 kept" in page
        True
    """
    counts: Mapping[str, int] = {} if plan is None else plan.counts
    drawn = layers(explanation, counts)
    widest = max((size for layer in drawn for size in layer.shape[:2]), default=1)
    places = {name: number for number, name in enumerate(explanation.groups)}
    network = "\n".join(_layer(layer, widest, places) for layer in drawn)
    groups = "\n".join(
        _group(group, explanation, counts.get(group.name, group.size), places[group.name])
        for group in explanation.groups.values()
    )
    style = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="prunus">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p>{_summary(explanation, counts)}</p>
<ul class="legend">{_legend()}</ul>
</header>
<main>
<h2>Layers, in the order in which they run</h2>
<ol class="network">
{network}
</ol>
<h2>Groups</h2>
<p>The units of a group are kept or removed together in all of its members.</p>
{groups}
</main>
</body>
</html>
"""


def _summary(explanation: Explanation, counts: Mapping[str, int]) -> str:
    costs = explanation.costs
    free = sum(group.frozen_because is None for group in explanation.groups.values())
    figures = [
        f"{free} of {len(explanation.groups)} groups may lose units",
        _figure("parameters", costs.params({}), costs.params(counts)),
        _figure("MACs", costs.macs({}), costs.macs(counts)),
    ]
    return "; ".join(figures)


def _figure(words: str, before: int, after: int) -> str:
    if before == after:
        return f"{amount(before)} {words}"
    return f"{amount(after)} of {amount(before)} {words} kept ({share(after, before)})"


def _legend() -> str:
    entries = [f'<li><i class="{state}"></i>{words}</li>' for state, words in _WORDS.items()]
    removed = '<li><i class="free" style="--kept:0%"></i>removed</li>'
    return "".join([*entries[:1], removed, *entries[1:]])


def _layer(layer: Layer, widest: int, places: Mapping[str, int]) -> str:
    sizes = " x ".join(map(str, layer.shape))
    return (
        f'<li><div class="name"><b>{escape(layer.name)}</b> <span>{sizes}, '
        f"{share(layer.kept, prod(layer.shape))} kept</span></div>\n"
        f"{_bar('makes', layer.makes, widest, places)}\n"
        f"{_bar('reads', layer.reads, widest, places)}</li>"
    )


def _bar(words: str, pieces: Sequence[Piece], widest: int, places: Mapping[str, int]) -> str:
    total = sum(piece.size for piece in pieces)
    length = 100 * sqrt(total / widest)
    segments = "".join(
        f'<i class="{piece.state}" style="flex-grow:{piece.size};'
        f'--kept:{round(100 * piece.kept / max(piece.size, 1))}%"></i>'
        for piece in pieces
    )
    labels = ", ".join(_label(piece, places) for piece in pieces)
    return (
        f'<div class="row"><span>{words}</span><div class="track">'
        f'<div class="bar" style="width:{length:.1f}%">{segments}</div></div>'
        f"<p>{labels}</p></div>"
    )


def _label(piece: Piece, places: Mapping[str, int]) -> str:
    links = " x ".join(f'<a href="#g{places[name]}">{escape(name)}</a>' for name in piece.groups)
    figure = f"{piece.kept} of {piece.size} kept" if piece.kept < piece.size else f"{piece.size}"
    return f"{figure} {links or 'fixed'}"


def _group(group: Group, explanation: Explanation, kept: int, place: int) -> str:
    cost = explanation.unit_cost(group.name)
    members = "".join(f"<li>{escape(line)}</li>" for line in _members(group))
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in group.inexact_because)
    state = f"frozen: {group.frozen_because}" if group.frozen_because else "may lose units"
    exact = "removal is exact" if group.exact else "removal is not exact, because"
    return (
        f'<details id="g{place}"><summary><b>{escape(group.name)}</b> {group.granularity}, '
        f"{kept} of {group.size} kept: {escape(state)}</summary>\n"
        f"<p>One unit costs {amount(cost.params)} parameters and {amount(cost.macs)} MACs; {exact}"
        f"</p>\n<ul>{reasons}</ul>\n<ul>{members}</ul></details>"
    )


def _members(group: Group) -> Iterator[str]:
    for member in group.members:
        does = "makes them" if member.produces else "reads them" if member.reads else "follows"
        where = "every element" if member.dim is None else f"dim {member.dim}"
        yield f"{member.tensor}, {where}: {does}"
