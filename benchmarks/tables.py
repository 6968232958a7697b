"""Write the tables of the benchmarks into the pages that show them: python benchmarks/tables.py

A page says where: `<!-- benchmark:NAME -->` ... `<!-- /benchmark:NAME -->`. What stands between
is replaced by the table that `TABLES[NAME]` makes of benchmarks/results/NAME.json. The pages of
docs/strategies have tables over all data sets of benchmarks/strategies.py that were measured:
`<!-- benchmark:NAME ARGUMENT -->` by `GUIDE[NAME]`.
"""

import json
import re
import runpy
from collections.abc import Callable, Iterable, Iterator
from math import log
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"

Result: TypeAlias = dict[str, Any]
MARKED = re.compile(
    r"(?P<begin><!-- benchmark:(?P<name>[\w-]+)(?: (?P<argument>\S[^>]*?))? -->\n).*?"
    r"(?P<end><!-- /benchmark:(?P=name) -->)",
    re.DOTALL,
)


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table whose first column is text and whose others are numbers."""
    header = list(header)
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def made_by(result: Result) -> str:
    """Return the line under a table: how its figures were made, and on what."""
    return (
        f"`{result['command']}`, {result['date']}: {result['cpus']} CPU cores, "
        f"{result['threads']} in use, Python {result['python']}, PyTorch {result['torch']}."
    )


# -- one function a table ---------------------------------------------------------------------


def selection(result: Result) -> str:
    """Global selection over all weights: time and memory beyond the model."""
    names = {"prunus": "prunus", "torch": "`torch.nn.utils.prune`"}
    rows = [
        (
            names[side],
            f"{measured['median_seconds']:.2f} s",
            f"{measured['extra_bytes'] / 1e6:,.0f} MB",
            f"{measured['extra_share']:.0%}",
        )
        for side, measured in result["sides"].items()
    ]
    size = f"{result['weights'] / 1e6:.0f} M weights, {result['sparsity']:.0%} to zero"
    table = markdown([size, "time", "extra memory", "of the model"], rows)
    return f"{table}\n\n{result['times_faster']:.0f} times faster, with the same zeros."


def study(result: Result) -> str:
    """Every strategy at every budget: accuracy after recovery, verdict, cost, measured speed."""
    rows = [
        (
            f"{row['granularity']}, {row['budget']}: {row['strategy']}",
            f"{row['accuracy_cut']:.1%}" if row["accuracy_cut"] is not None else "-",
            f"{row['accuracy']:.1%}",
            ", ".join(
                f"{row['verdicts'].count(v)} {_SHORT[v]}" for v in _SHORT if v in row["verdicts"]
            ),
            f"{row['nonzero'] / result['dense']['params']:.0%}",
            f"{row['macs'] / result['dense']['macs']:.0%}",
            f"{row['speed_up']:.2f}x" if row["speed_up"] else "-",
        )
        for row in result["rows"]
    ]
    header = [
        f"{result['title']}, dense {result['dense']['accuracy']:.1%}", "after the cut",
        "after recovery", "verdicts", "non-zero", "MACs", "speed",
    ]  # fmt: skip
    seeds, points = len(result["seeds"]), round(100 * result["margin"])
    return (
        f"{markdown(header, rows)}\n\nMeans over {seeds} seeds, {result['items']:,} test items, "
        f"margin {points} point{'s' * (points != 1)}; speed at batch 32."
    )


def language(result: Result) -> str:
    """Half of a transformer's weights to zero: what is left by criterion, over all draws."""
    figures = [name for name in result["rows"][0] if name != "criterion"]
    names = dict.fromkeys(row["criterion"] for row in result["rows"])
    rows = []
    for criterion in names:
        of = [row for row in result["rows"] if row["criterion"] == criterion]
        rows.append((f"`{criterion}`", *(_span([row[name] for row in of]) for name in figures)))
    table = markdown([f"{result['model']}, 50% to zero", *figures], rows)
    seeds = result["seeds"]
    draws = f"Lowest to highest over {seeds} draws of" if seeds > 1 else "One draw of"
    return (
        f"{table}\n\n{draws} {result['calibration']} calibration sequences of "
        f"{result['length']} tokens; {result['test']} test sequences."
    )


def _span(figures: list[float]) -> str:
    """Return one number, or the lowest and the highest where they differ."""
    ends = dict.fromkeys(f"{figure:.3g}" for figure in (min(figures), max(figures)))
    return " - ".join(ends)


def scoring(result: Result) -> str:
    """Every criterion: time and memory of scoring two networks, and how they grow with the size."""
    networks = result["networks"]
    rows = []
    for criterion in next(iter(networks.values()))[0]["criteria"]:
        row, kinds = [f"`{criterion}`"], []
        for half, whole in networks.values():
            found = whole["criteria"][criterion]
            kinds.append(found.get("granularity", "-"))
            row += [_time(found), _extra(found), _growth(half, whole, criterion)]
        rows.append((row[0], "weights" if "weight" in kinds else "channels", *row[1:]))
    header = ["criterion", "units"]
    for name, (_, whole) in networks.items():
        header += [f"{name}, {whole['params'] / 1e6:.0f} M: time", "extra memory", "growth"]
    return (
        f"{markdown(header, rows)}\n\nOne batch: 4 images of 64 x 64 pixels, or 2 x 32 tokens; of "
        "`synflow` one round. Growth is the power of the number of parameters with which time "
        "grows: 1 is linear. A dash: the criterion does not apply."
    )


def _time(found: Result) -> str:
    if "longer_than" in found:
        return f"> {found['longer_than']} s"
    return f"{found['median_seconds']:.2f} s" if "seconds" in found else "-"


def _extra(found: Result) -> str:
    return f"{found['extra_bytes'] / 1e6:,.0f} MB" if "seconds" in found else "-"


def _growth(half: Result, whole: Result, criterion: str) -> str:
    times = [size["criteria"][criterion].get("median_seconds") for size in (half, whole)]
    if None in times:
        return "-"
    return f"{log(times[1] / times[0]) / log(whole['params'] / half['params']):.1f}"


def tracing(result: Result) -> str:
    """Trace, score and cut whole models, beside Torch-Pruning; growth and memory."""
    rows = [
        (
            name,
            f"{each['operators']:,}",
            *(_seconds(each[side]) for side in ("prunus", "torch_pruning")),
            f"{result['times_faster'][name]:.1f}x" if name in result["times_faster"] else "-",
            _seconds(each["prunus_checked"]),
        )
        for name, each in result["models"].items()
    ]
    header = ["half of every group", "operators", "prunus", "Torch-Pruning", "faster", "checked"]
    stack, memory = result["stack"], result["memory"]
    mean = result["geometric_mean"]
    return (
        f"{markdown(header, rows)}\n\n"
        f"{f'Geometric mean {mean:.1f} times faster. ' if mean else ''}"
        f"A stack of {stack['operators'][-1]:,} operators takes {stack['seconds'][-1]:.1f} s; "
        f"seconds grow with their number to the power of {stack['exponent']:.2f}. "
        f"To trace a decoder of {memory['params'] / 1e9:.1f} B parameters on the meta device "
        f"takes {memory['peak_bytes'] / 1e6:,.0f} MB in all, "
        f"{memory['extra_bytes'] / 1e6:,.0f} MB of them for the trace."
    )


def _seconds(side: Result) -> str:
    return f"{side['median']:.2f} s" if "median" in side else "fails"


_SHORT = {"same": "same", "not enough data to tell": "open", "worse": "worse"}


def zoo(result: Result) -> str:
    """The support matrix."""
    return str(runpy.run_path(str(ROOT / "benchmarks" / "zoo" / "table.py"))["matrix"](result))


TABLES: dict[str, Callable[[Result], str]] = {
    "digits": study,
    "fashion-mnist": study,
    "language-minilm": language,
    "scoring": scoring,
    "selection": selection,
    "tracing": tracing,
    "zoo": zoo,
}


# -- the guide of strategies: tables over all data sets that were measured --------------------

STUDIES = {"strategies-digits": "digits", "strategies-fashion-mnist": "Fashion-MNIST"}
LEVELS = {"channel": "channels", "weight": "weights"}
Row: TypeAlias = dict[str, Any]
Studies: TypeAlias = dict[str, Result]  # by data set


def studies() -> Studies:
    """Return the results of benchmarks/strategies.py; a data set not measured is left out."""
    paths = {dataset: RESULTS / f"{name}.json" for name, dataset in STUDIES.items()}
    return {
        dataset: json.loads(path.read_text(encoding="utf-8"))
        for dataset, path in paths.items()
        if path.exists()
    }


def places(found: Studies) -> Iterator[tuple[str, dict[str, Row]]]:
    """Yield each data set and granularity as text, with its rows by strategy."""
    for dataset, result in found.items():
        for level, word in LEVELS.items():
            rows = {r["strategy"]: r for r in result["rows"] if r["granularity"] == level}
            yield f"{dataset} {word}", rows


def strategy(found: Studies, name: str) -> str:
    """One strategy, magnitude with the same allocation, and a random choice."""
    lines = []
    for place, rows in places(found):
        if name in rows:
            rivals = dict.fromkeys([name, _magnitude(rows, rows[name]), "random"])
            lines += [_line(f"{place}: {each}", rows[each]) for each in rivals]
    table = [f"{markdown(_HEADER, lines)}\n\n{_how(found)}"] if lines else []
    return "\n\n".join([*table, *_refusals(found, name)])


def family(found: Studies, name: str) -> str:
    """A strategy and what differs from it in one thing: those named "NAME, ..."."""
    lines = [
        _line(f"{place}: {each}" + ("" if "," in each else f", {row['allocation']}"), row)
        for place, rows in places(found)
        for each, row in rows.items()
        if each == name or each.startswith(f"{name}, ")
    ]
    return f"{markdown(_HEADER, lines)}\n\n{_how(found)}"


def overview(found: Studies, _: None) -> str:
    """Every strategy: what it needs and costs, and its accuracies everywhere."""
    tables = list(places(found))
    names = dict.fromkeys(name for _, rows in tables for name in rows)
    lines = []
    for name in names:
        rows = [rows.get(name) for _, rows in tables]
        known = [row for row in rows if row]
        slowest = max(known, key=lambda row: row["score_seconds"] or 0)
        needs = ", ".join(known[0]["needs"]) or "weights"
        own = (f"[{name}]({_page(name)}.md)", needs, _seconds_of(slowest))
        lines.append((*own, *(_stages(row) for row in rows)))
    header = ["strategy", "needs", "scoring, at most", *(place for place, _ in tables)]
    made = "\n\n".join(f"{dataset}: {made_by(result)}" for dataset, result in found.items())
    return f"{markdown(header, lines)}\n\n{_how(found)}\n\n{made}"


def plots(found: Studies, folder: str) -> str:
    """The pictures of benchmarks/plots.py, which are in `folder` as seen from the page."""
    return "\n\n".join(f"![{dataset}]({folder}/{dataset.lower()}.svg)" for dataset in found)


def _page(name: str) -> str:
    """Return the page of a strategy: allocations and schedules share one each."""
    if name.startswith("magnitude, "):
        return "allocations"
    return "schedules" if "," in name else "random" if name == "scratch" else name


_HEADER = ["", "after the cut", "batch norms anew", "after recovery", "verdicts", "scoring"]


def _line(name: str, row: Row) -> tuple[str, ...]:
    accuracies = (row[figure] for figure in ("accuracy_cut", "accuracy_batch_norm", "accuracy"))
    return (name, *(_percent(share) for share in accuracies), _verdicts(row), _seconds_of(row))


def _magnitude(rows: dict[str, Row], own: Row) -> str:
    """Return the name of magnitude with the allocation of `own`."""
    named = f"magnitude, {own['allocation']}"
    return named if named in rows else "magnitude"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _stages(row: Row | None) -> str:
    """Return the three accuracies in one text."""
    if row is None:
        return "-"
    before = (row["accuracy_cut"], row["accuracy_batch_norm"])
    known = [f"{share:.0%}" for share in before if share is not None]
    return " → ".join([*known, _percent(row["accuracy"])])


def _verdicts(row: Row) -> str:
    counts = {word: row["verdicts"].count(verdict) for verdict, word in _SHORT.items()}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def _seconds_of(row: Row) -> str:
    return f"{row['score_seconds']:.2f} s" if row["score_seconds"] is not None else "-"


def _how(found: Studies) -> str:
    """Return what the figures of a table are."""
    result = next(iter(found.values()))
    budgets = {LEVELS[row["granularity"]]: row["budget"] for row in result["rows"]}
    sets = [
        f"{dataset} (dense {_percent(each['dense']['accuracy'])}, {each['items']:,} test images, "
        f"margin {each['margin']:.0%})"
        for dataset, each in found.items()
    ]
    kept = ", ".join(f"{word} {budget}" for word, budget in budgets.items())
    count = len(result["seeds"])
    seeds = f"Means over {count} seeds" if count > 1 else "One seed"
    return f"Kept: {kept}. {seeds}: {'; '.join(sets)}."


def _refusals(found: Studies, name: str) -> Iterator[str]:
    """Yield why a strategy did not run on something, each reason once."""
    reasons = dict.fromkeys(
        f"Not for {LEVELS[one['granularity']]}: {one['why']}."
        for result in found.values()
        for one in result["refused"]
        if one["strategy"] == name
    )
    yield from reasons


GUIDE: dict[str, Callable[[Studies, Any], str]] = {
    "strategies": overview,
    "strategy": strategy,
    "strategy-family": family,
    "strategy-plots": plots,
}


# -- filling pages ----------------------------------------------------------------------------


def table(name: str, argument: str | None = None) -> str:
    """Return the table of that name: of its results file, or of the guide."""
    if name in GUIDE:
        return GUIDE[name](studies(), argument) if studies() else "Not measured yet."
    result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return f"{TABLES[name](result)}\n\n{made_by(result)}"


def filled(text: str) -> str:
    """Return `text` with the table between each pair of markers."""

    def between(found: re.Match[str]) -> str:
        return f"{found['begin']}{table(found['name'], found['argument'])}\n{found['end']}"

    return MARKED.sub(between, text)


def pages() -> Iterator[Path]:
    """Yield every page that may show a table."""
    yield from sorted(ROOT.glob("README*.md"))
    yield from sorted((ROOT / "docs").rglob("*.md"))


def main() -> None:
    """Write every page whose tables have changed, and the plots."""
    for page in pages():
        before = page.read_text(encoding="utf-8")
        if (after := filled(before)) != before:
            page.write_text(after, encoding="utf-8")
            print(f"wrote {page.relative_to(ROOT)}")
    runpy.run_path(str(Path(__file__).with_name("plots.py")), run_name="__main__")


if __name__ == "__main__":
    main()
