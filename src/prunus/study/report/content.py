"""What a report says, in order of importance; how it looks is up to the renderers."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from prunus.study.analysis import Analysis, analyse
from prunus.study.recommend import recommend
from prunus.study.records import Study
from prunus.study.report.blocks import (
    Answer,
    Answers,
    Block,
    Bullets,
    Cards,
    Chart,
    Document,
    Figures,
    Paragraph,
    Section,
)
from prunus.study.report.cards import card
from prunus.study.report.cost_figure import cost_chart
from prunus.study.report.figures import accuracy_chart, speed_chart
from prunus.study.report.row_figures import kept_chart, recovery_chart
from prunus.study.report.tables import main_table
from prunus.study.words import listing, seeds_of, threads_of, unit_of
from prunus.text import amount


def build(study: Study) -> Document:
    """Return the whole report of a study, finished or not."""
    found = analyse(study)
    facts = found.facts
    sections = [_answer(study, found), _fixed(found)]
    if found.cells:
        sections += [
            Section(name="results", title="Results", blocks=tuple(_results(found))),
            Section(name="charts", title="Charts", blocks=tuple(_charts(found))),
            _cards(study, found),
        ]
    sections.append(_method(found))
    return Document(
        title=f"Pruning study: {facts.title}",
        summary=f"{_count(len(found.strategies), 'strategy', 'strategies')}, "
        f"{_count(len(found.points), 'budget', 'budgets')}, {seeds_of(len(facts.seeds))}: "
        f"{_count(len(study.runs), 'run', 'runs')}, all from one trained dense model.",
        sections=tuple(sections),
    )


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


# -- the answer, and what was fixed -------------------------------------------------------------


def _answer(study: Study, found: Analysis) -> Section:
    answers = tuple(
        Answer(
            aim=_aim(advice.granularity, found),
            headline=advice.headline,
            reasons=advice.reasons,
        )
        for advice in recommend(study)
    )
    blocks: list[Block] = [Answers(answers)]
    missing = list(_missing(study, found))
    if missing:
        blocks.append(Bullets(title="What is missing", items=tuple(missing)))
    return Section(name="answer", title="What to do", blocks=tuple(blocks))


def _aim(granularity: str, found: Analysis) -> str:
    if not granularity:
        return "For now"
    if granularity in found.zeroed:
        return f"For zeros that another runtime can use ({granularity} level)"
    return f"For a smaller and faster model ({granularity} level)"


def _missing(study: Study, found: Analysis) -> Iterable[str]:
    """Say what the study does not hold, so that nobody takes it for measured."""
    planned = len(found.facts.seeds)
    short = [cell for cell in found.cells if len(cell.runs) < planned]
    if short:
        names = listing(dict.fromkeys(cell.strategy for cell in short))
        yield f"Not all of the {seeds_of(planned)} have finished for {names}."
    if found.cells and planned < 2:
        yield "With one seed nothing is known about seed noise, so strategies are not ranked."
    for kind, name in (("control", "random control"), ("scratch", "dense network from scratch")):
        without = [p.budget for p in found.points if found.first(kind, p) is None]
        if without:
            yield f"No {name} has run at {listing(dict.fromkeys(without))}."
    runs = study.runs
    if runs and all(run.latency is None for run in runs):
        yield "Speed was not measured."
    failed = Counter((f.strategy, f.granularity, f.budget, f.what) for f in study.failures)
    for strategy, granularity, budget, what in failed:
        yield f"{strategy} did not run at {granularity} level, budget {budget}: {what}."


def _fixed(found: Analysis) -> Section:
    facts, dense, unit = found.facts, found.facts.dense, unit_of(found)
    return Section(
        name="fixed",
        title="The dense model, and what was fixed before any run",
        blocks=(
            Figures((
                ("Dense accuracy", unit.value(dense["accuracy"])),
                ("Dense parameters", amount(dense["params"])),
                ("Dense MACs of one item", amount(dense["macs"])),
                ("Dense bytes as stored", f"{amount(dense['bytes'])}B"),
                ("Margin: a smaller loss counts as the same", unit.margin(facts.margin)),
                ("Test items, the same for all", f"{facts.items:,}"),
                ("Seeds", ", ".join(map(str, facts.seeds))),
                *_epochs(facts.epochs),
            )),
            Paragraph(
                "Every pruned model starts from the same dense weights and gets the same budget of "
                f"training. Recovery: {_settings(facts.recovery)}."
            ),
        ),
    )


def _epochs(epochs: Mapping[str, int]) -> list[tuple[str, str]]:
    words = {
        "recovery": "Epochs for every pruned model",
        "penalty": "Of these before the cut, with a penalty",
        "scratch": "Epochs for the network from scratch",
    }
    return [(words[key], str(epochs[key])) for key in words if key in epochs]


def _settings(settings: Mapping[str, Any]) -> str:
    """Return settings in a line; those that are off are left out."""
    known = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            known.append(f"{key} ({_settings(value)})")
        elif isinstance(value, list | tuple):
            known += [f"{key} {', '.join(map(str, value))}"] if value else []
        elif value is not None:
            known.append(f"{key} {value}")
    return ", ".join(known) or "none"


# -- results ------------------------------------------------------------------------------------


def _results(found: Analysis) -> Iterable[Block]:
    yield Paragraph(
        "Two kinds of uncertainty are kept apart. The ± after recovery says how much the result "
        "varies from seed to seed. The interval of the difference says how well the test items "
        "tell this model from the dense one; the verdict goes by it. “Within noise” means that "
        "over the seeds the strategy cannot be told apart from the most accurate one.",
        "note",
    )
    for granularity in found.granularities:
        yield main_table(found, granularity)


def _charts(found: Analysis) -> Iterable[Block]:
    for granularity in found.granularities:
        charts: list[Chart | None] = [
            accuracy_chart(found, granularity, "macs"),
            accuracy_chart(found, granularity, "params"),
            recovery_chart(found, granularity),
            kept_chart(found, granularity),
        ]
        yield from (chart for chart in charts if chart is not None)
        if granularity in found.zeroed:
            yield Paragraph(
                f"There is no chart against MACs at {granularity} level: zeros in dense tensors "
                "are multiplied like any other number.",
                "note",
            )
    if (speed := speed_chart(found)) is not None:
        yield speed
    yield cost_chart(found)


def _cards(study: Study, found: Analysis) -> Section:
    cards = tuple(card(strategy, found, study.failures) for strategy in found.strategies)
    return Section(name="strategies", title="Strategy by strategy", blocks=(Cards(cards),))


# -- how it was measured ------------------------------------------------------------------------


def _method(found: Analysis) -> Section:
    facts = found.facts
    meaning = "Accuracy is the share of the test items that are right."
    if not found.shares:
        metric = facts.settings.get("metric", "another metric")
        meaning = f"What is called accuracy here is a mean over the test items: {metric}."
    sentences = (
        f"{meaning} It is measured right after the cut, after the batch-norm statistics were taken "
        "anew, and after recovery. The last epoch counts, not the best one on the test items.",
        "The difference to dense is taken on the same test items, with a 95 % interval; the table "
        "shows its mean over the seeds. “Same”: the whole interval lies above minus the margin. "
        "“Worse”: it lies below. Else there is not enough data to tell. A strategy is called the "
        "same where most seeds say so and none says worse.",
        "Strategies are compared seed by seed: the mean of the paired differences with Student's "
        "95 % interval. Where it holds 0, or the mean is no more than one test item, the "
        "difference is noise. With few seeds the interval is wide, and so it should be. It is not "
        "corrected for the number of comparisons: of 20 strategies that are equal, one may look "
        "different.",
        "Recommended is the smallest budget at which a strategy is the same; of strategies within "
        "noise of the most accurate one there, that which needs least: weights only, then data, "
        "then labels, then training. A small dense network from scratch is recommended instead "
        "where it too is the same and at least as accurate, or the same at a smaller budget.",
        "MACs are multiply-adds of one item. Parameters are those that are stored; where weights "
        "are zeroed their tensors keep their shape, and the share that is not zero is given. Bytes "
        "are those of all parameters and buffers.",
        f"Speed-up is the median time of a batch of {facts.batch} on {threads_of(facts.threads)}, "
        "of the dense model over that of the result, measured side by side.",
    )
    return Section(
        name="method",
        title="How it was measured",
        blocks=(
            Bullets(items=sentences),
            Figures((*facts.versions.items(), ("fingerprint", facts.fingerprint))),
            *_asked_for(facts.settings),
            Paragraph(
                "To repeat it: install these versions, and make the same call with the same seeds "
                "and an empty folder. Every run is one line of results.jsonl, beside this file. "
                "The fingerprint is a hash of the dense weights and of all settings: two studies "
                "with the same one may be compared."
            ),
        ),
    )


def _asked_for(settings: Mapping[str, Any]) -> Iterable[Block]:
    """Return the settings of a study: those of each strategy in a list, the others in a line."""
    others = {key: value for key, value in settings.items() if key != "strategies"}
    if others:
        yield Paragraph(f"Asked for: {_settings(others)}.")
    strategies = settings.get("strategies", {})
    if strategies:
        items = tuple(f"{name}: {value}" for name, value in strategies.items())
        yield Bullets(title="The strategies in full", items=items)
