"""The tables of a report: every strategy at every budget of one granularity."""

from collections.abc import Mapping

from prunus.study.analysis import Analysis, Cell, Estimate
from prunus.study.report.blocks import Entry, Rows, Table, Tone
from prunus.study.words import Unit, needs_of, percent, place, times, unit_of, word_of
from prunus.text import amount

NOTHING = Entry("-", "quiet")
_TONES: Mapping[str, Tone] = {"same": "good", "worse": "bad", "not enough data to tell": "open"}
_SHORT = {"not enough data to tell": "not enough data"}

_COLUMNS = (
    "strategy",
    "needs",
    "right after the cut",
    "after batch norm",
    "after recovery, ± over seeds",
    "difference to dense (95 %)",
    "verdict (same on)",
    "against the best here",
    "parameters",
    "MACs",
    "stored bytes",
    "measured speed-up",
)


def main_table(found: Analysis, granularity: str) -> Table:
    """Return all that was measured at a granularity, budget by budget, the best first."""
    points = [point for point in found.points if point.granularity == granularity]
    parts = [Rows(rows=(_dense_row(found),))]
    for point in points:
        cells = sorted(found.at(point), key=lambda cell: -cell.accuracy)
        rows = tuple(_row(cell, cells[0], found) for cell in cells)
        parts.append(Rows(title=f"{place(point)} (budget {point.budget})", rows=rows))
    caption = f"All strategies at {granularity} level, the most accurate first"
    if granularity in found.zeroed:
        caption += ". Speed-up: none, as zeros in dense tensors give none; measured in brackets"
    return Table(caption=caption, columns=_COLUMNS, parts=tuple(parts))


def _dense_row(found: Analysis) -> tuple[Entry, ...]:
    dense = found.facts.dense
    blank = Entry("")
    return (
        Entry("dense model"),
        blank,
        blank,
        blank,
        Entry(unit_of(found).value(dense["accuracy"])),
        blank,
        blank,
        blank,
        Entry(amount(dense["params"])),
        Entry(amount(dense["macs"])),
        Entry(f"{amount(dense['bytes'])}B"),
        Entry(times(1.0)),
    )


def _row(cell: Cell, best: Cell, found: Analysis) -> tuple[Entry, ...]:
    unit = unit_of(found)
    return (
        Entry(cell.strategy, "" if cell.kind == "pruned" else "quiet"),
        Entry("training" if "training" in cell.needs else needs_of(cell.needs)),
        _accuracy(cell.over_seeds(lambda run: run.accuracy_cut), unit),
        _accuracy(cell.over_seeds(lambda run: run.accuracy_batch_norm), unit),
        _accuracy(cell.over_seeds(lambda run: run.accuracy), unit, interval=True),
        difference(cell, unit),
        verdict(cell),
        _against(cell, best, found, unit),
        _parameters(cell, found),
        _left(cell.mean(lambda run: run.macs), found.facts.dense["macs"]),
        _left(cell.mean(lambda run: run.bytes), found.facts.dense["bytes"], unit="B"),
        speed(cell, found),
    )


def _accuracy(value: Estimate | None, unit: Unit, *, interval: bool = False) -> Entry:
    if value is None:
        return NOTHING
    return Entry(unit.spread(value) if interval else unit.value(value.mean))


def difference(cell: Cell, unit: Unit) -> Entry:
    """Return the difference to the dense model, with its interval over test items."""
    middle, lower, upper = (
        unit.signed(cell.compared(key)) for key in ("difference", "lower", "upper")
    )
    return Entry(f"{middle} ({lower} to {upper})")


def verdict(cell: Cell) -> Entry:
    """Return the verdict, with the number of seeds that say "same"."""
    word = _SHORT.get(cell.verdict, cell.verdict)
    return Entry(f"{word} ({cell.same} of {len(cell.runs)})", _TONES[cell.verdict])


def _against(cell: Cell, best: Cell, found: Analysis, unit: Unit) -> Entry:
    if cell is best:
        return Entry("the best")
    if (known := found.relation(cell, best)) == "worse":
        return Entry(f"{unit.signed(cell.accuracy - best.accuracy)}{unit.points}")
    return Entry("within noise" if known == "within noise" else "one seed", "quiet")


def _parameters(cell: Cell, found: Analysis) -> Entry:
    dense = found.facts.dense["params"]
    if found.zeros_only(cell):
        nonzero = cell.mean(lambda run: run.nonzero)
        return Entry(f"{percent(nonzero / dense, 0)} not zero")
    return _left(cell.mean(lambda run: run.params), dense)


def _left(value: float, dense: float, *, unit: str = "") -> Entry:
    if value == dense:
        return Entry(f"{amount(value)}{unit}")
    return Entry(f"{amount(value)}{unit} ({percent(value / dense, 0)})")


def speed(cell: Cell, found: Analysis) -> Entry:
    """Return the measured speed-up; of zeros in dense tensors it is said that they give none."""
    measured = times(cell.speed_up.mean) if cell.speed_up else "not measured"
    if found.zeros_only(cell):
        return Entry(f"none ({measured})", "quiet")
    return Entry(measured, "" if cell.speed_up else "quiet")


def cell_table(cells: tuple[Cell, ...], found: Analysis) -> Table:
    """Return the accuracy of one strategy at every budget, before and after recovery."""
    unit = unit_of(found)
    parts = []
    for level in dict.fromkeys((cell.point.granularity, cell.point.target) for cell in cells):
        rows = tuple(
            (
                Entry(percent(cell.point.fraction, 0)),
                _accuracy(cell.over_seeds(lambda run: run.accuracy_cut), unit),
                _accuracy(cell.over_seeds(lambda run: run.accuracy), unit, interval=True),
                verdict(cell),
            )
            for cell in cells
            if (cell.point.granularity, cell.point.target) == level
        )
        granularity, target = level
        parts.append(Rows(title=f"{granularity} level, share of the {word_of(target)}", rows=rows))
    return Table(
        caption="Accuracy before and after recovery",
        columns=("kept", "after the cut", "after recovery", "verdict"),
        parts=tuple(parts),
    )
