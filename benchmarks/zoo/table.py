"""The support matrix in Markdown, from the rows of the zoo."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]

SHARE = 0.2  # of the parameters must fall for a network to count as handled
SIDES = {"prunus": "prunus", "torch-pruning": "Torch-Pruning"}
LIBRARIES = ("own", "torchvision", "timm", "transformers", "ultralytics")
TEXT = {"verdict", "frozen groups", "Torch-Pruning"}  # columns of words
REASONS = (
    (r"model output", "makes an output of the model"),
    (r"model input", "reads an input of the model"),
    (r"embedding", "rows of an embedding"),
    (r"normalises over the units|reduces over the units", "a norm or mean runs over the units"),
    (r"not exact", "removal is not exact"),
    (r"in space or time|in a kernel", "places in space, time or a kernel"),
    (r"has no rule", "an operator without a rule"),
    (r"multi_head_attention_forward", "sizes inside nn.MultiheadAttention"),
    (r"computed from other sizes", "a size computed from another"),
    (r"literal|sliced", "a size written as a number"),
    (r"runs along the units", "a kernel runs over the units"),
    (r"divide|not a multiple", "parts of unequal size"),
    (r"equal parts|stacked|stride", "number of equal parts"),
    (r"by index|by value|by number|by its number|every position", "picked by number"),
    (r"did not run there|runs here", "the model branches on the size"),
    (r"no operator reads|does not run", "not read with these inputs"),
)


def matrix(result: Row) -> str:
    """Return the summary, the most common reasons, and one table a library."""
    rows = {side: [r for r in result["rows"] if r["side"] == side] for side in SIDES}
    parts = [_summary(rows), _reasons(rows["prunus"])]
    for library in LIBRARIES:
        ours = [row for row in rows["prunus"] if row["library"] == library]
        theirs = {r["name"]: r for r in rows["torch-pruning"] if r["library"] == library}
        if ours:
            parts.append(_table(library, ours, theirs, result["versions"].get(library)))
    return "\n\n".join(parts)


def fell(row: Row) -> float:
    """Return the share of the parameters that fell."""
    return 1 - row["params_after"] / row["params"] if "params_after" in row else 0.0


def handled(row: Row) -> bool:
    """Whether the network was pruned as it should be: proved, and a fifth smaller."""
    return row["verdict"] in {"passed", "handled"} and fell(row) >= SHARE


def _summary(rows: dict[str, list[Row]]) -> str:
    lines = []
    for side, name in SIDES.items():
        here = rows[side]
        if here:
            good = [row for row in here if handled(row) and row.get("exact", True)]
            runs = [row for row in here if handled(row)]
            wrong = [row for row in here if row["verdict"] == "wrong" or _is_wrong(row)]
            failed = [row for row in here if row["verdict"] == "error" and not _is_wrong(row)]
            rest = len(here) - len(runs) - len(wrong) - len(failed)
            figures = (len(here), len(runs), len(good), len(wrong), len(failed), rest)
            lines.append([name, *map(str, figures), f"{len(good) / len(here):.1%}"])
    header = [
        "half of all units", "networks", "runs, 20 % fewer parameters", "and masked = shrunk",
        "wrong", "error", "too little or nothing cut", "handled correctly",
    ]  # fmt: skip
    return _markdown(header, lines)


def _is_wrong(row: Row) -> bool:
    return row.get("error") == "WrongError"


def _reasons(rows: list[Row]) -> str:
    held: Counter[str] = Counter()
    where: Counter[str] = Counter()
    for row in rows:
        seen = set()
        for frozen in row.get("frozen", ()):
            reason = short(frozen["because"])
            held[reason] += frozen["params"] / row["params"]
            seen.add(reason)
        where.update(seen)
    lines = [
        [reason, str(where[reason]), f"{share / len(rows):.1%}"]
        for reason, share in held.most_common()
        if share
    ]
    header = ["what no cut reaches, because of", "networks", "of the parameters, mean"]
    return _markdown(header, lines)


def short(because: str) -> str:
    """Return a reason in a few words: the first of `REASONS` that it speaks of."""
    return next((words for pattern, words in REASONS if re.search(pattern, because)), "other")


def _table(library: str, ours: list[Row], theirs: dict[str, Row], version: str | None) -> str:
    header = [
        f"{library} {version or ''}".strip(), "verdict", "units cut", "parameters reached",
        "parameters fell", "frozen groups", "CPU seconds",
    ]  # fmt: skip
    if not theirs:
        return _markdown(header, map(_line, ours))
    lines = ([*_line(row), _of_rival(theirs.get(row["name"]))] for row in ours)
    return _markdown([*header, "Torch-Pruning"], lines)


def _line(row: Row) -> list[str]:
    frozen: Counter[str] = Counter()
    for one in row.get("frozen", ()):
        frozen[short(one["because"])] += one["groups"]
    reasons = ", ".join(f"{count} {reason}" for reason, count in frozen.most_common(3))
    return [
        row["name"].replace("|", "/"),
        row["verdict"] if row["verdict"] != "error" else f"error: {_first(row)}",
        f"{row['units_cut'] / row['units']:.0%}" if row.get("units") else "-",
        f"{row['reached'] / row['params']:.0%}" if row.get("params") else "-",
        f"{fell(row):.0%}" if row.get("params") else "-",
        reasons or "-",
        f"{sum(row['seconds'].values()):.1f}" if "seconds" in row else "-",
    ]


def _of_rival(row: Row | None) -> str:
    if row is None:
        return "-"
    if row["verdict"] == "error":
        return f"error: {_first(row)}"
    exact = {True: "", False: ", not masked = shrunk", None: ""}[row.get("exact")]
    return f"{row['verdict']}, {fell(row):.0%}{exact}"


def _first(row: Row) -> str:
    """Return the first words of an error."""
    kind, words = row.get("error", ""), row["message"].replace("|", "/")
    return f"{kind} {words[:60]}".strip()


def _markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    header = list(header)
    rules = ["---" if k == 0 or name in TEXT else "---:" for k, name in enumerate(header)]
    lines = [header, rules, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
