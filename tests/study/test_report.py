"""The two files of a report: sound, whole, equal, and true to the study."""

import math
import re
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from pages_of_reports import Page
from sample import DENSE, FACTS, make_run, make_study, over_seeds, sample_study
from scipy import stats

from prunus.errors import SaveError, StudyError
from prunus.study.records import Failure, Run, Study
from prunus.study.report import write_report
from prunus.study.report.content import build
from prunus.study.report.html import to_html
from prunus.study.report.markdown import to_markdown

STUDY = sample_study()


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(to_html(build(STUDY)))


def page_of(*runs: Run, **facts: object) -> Page:
    return Page(to_html(build(make_study(*runs, **facts))))


def text_of(*runs: Run, **facts: object) -> str:
    return to_markdown(build(make_study(*runs, **facts)))


# -- the files ----------------------------------------------------------------------------------


def test_both_files_are_written_and_nothing_else(tmp_path: Path) -> None:
    html, markdown = write_report(STUDY, tmp_path / "new" / "folder")

    assert (html.name, markdown.name) == ("report.html", "report.md")
    assert {path.name for path in html.parent.iterdir()} == {"report.html", "report.md"}
    assert html.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert markdown.read_text(encoding="utf-8").startswith("# Pruning study: small ResNet")


def test_the_same_study_gives_the_same_report_and_replaces_the_old_one(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_report(STUDY, tmp_path)]
    write_report(make_study(), tmp_path)

    assert [path.read_bytes() for path in write_report(STUDY, tmp_path)] == first


def test_without_plotly_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)

    with pytest.raises(StudyError, match="cannot be drawn") as caught:
        write_report(STUDY, tmp_path / "report")

    assert caught.value.hint == "pip install 'prunus[report]'"
    assert not (tmp_path / "report").exists()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(SaveError, match="could not be made"):
        write_report(STUDY, tmp_path / "file")


# -- the page -----------------------------------------------------------------------------------


def test_headings_go_down_one_step_at_a_time() -> None:
    levels = [int(tag) for tag in re.findall(r"<h(\d)", to_html(build(STUDY)).split("<script")[0])]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_answer_comes_first(page: Page) -> None:
    titles = [heading.text() for heading in page.root.all("h2")]

    assert titles[:3] == [
        "What to do",
        "The dense model, and what was fixed before any run",
        "Results",
    ]
    assert page.root.all("h3")[0].text().startswith("Prune at channel level with ")


def test_every_table_has_a_caption_and_every_figure_a_description(page: Page) -> None:
    plots = [div for div in page.root.all("div") if div.attributes.get("class") == "plot"]

    assert all(table.all("caption")[0].text() for table in page.root.all("table"))
    assert len(plots) == len(page.root.all("figure")) == 9
    assert all(plot.attributes["role"] == "img" for plot in plots)
    assert all(len(plot.attributes["aria-label"] or "") > 40 for plot in plots)
    assert all(figure.all("h3") and figure.all("figcaption") for figure in page.root.all("figure"))


def test_ids_are_unique_and_links_lead_somewhere(page: Page) -> None:
    everything = to_html(build(STUDY)).split("<script")[0]
    ids = re.findall(r' id="([^"]+)"', everything)
    targets = [(link.attributes["href"] or "").removeprefix("#") for link in page.root.all("a")]

    assert len(ids) == len(set(ids))
    assert set(targets) <= set(ids)


def test_the_page_is_allowed_to_load_nothing() -> None:
    html = to_html(build(STUDY))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)

    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    assert "unsafe-inline" not in policy[1].split("script-src")[1]
    assert not re.search(r'(src|href)="(?!#|data:,)', html.split("<script")[0])


# -- numbers ------------------------------------------------------------------------------------


def runs_of(strategy: str, budget: str) -> list[Run]:
    return [run for run in STUDY.runs if (run.strategy, run.budget) == (strategy, budget)]


def row_of(page: Page, strategy: str, budget: str, granularity: str) -> dict[str, str]:
    rows = page.rows(f"All strategies at {granularity} level")
    starts = [number for number, row in enumerate(rows) if f"budget {budget}" in row[0]]
    row = next(row for row in rows[starts[0] :] if row[0] == strategy)
    return dict(zip(rows[0], row, strict=True))


def test_the_main_table_holds_the_numbers_of_the_study(page: Page) -> None:
    runs = runs_of("taylor", "macs=0.25")
    accuracies = [100 * run.accuracy for run in runs]
    mean = statistics.fmean(accuracies)
    reach = stats.t.ppf(0.975, 2) * statistics.stdev(accuracies) / math.sqrt(3)
    params = statistics.fmean(run.params for run in runs)
    speed = statistics.fmean(run.latency_dense / run.latency for run in runs)  # type: ignore[operator]
    low = statistics.fmean(run.comparison["lower"] for run in runs)
    row = row_of(page, "taylor", "macs=0.25", "channel")

    assert row["after recovery, ± over seeds"] == f"{mean:.1f} ± {reach:.1f} %"
    assert row["needs"] == "data, labels"
    assert row["measured speed-up"] == f"{speed:.2f}x"
    assert row["parameters"] == f"{params / 1000:.2f} k ({100 * params / DENSE['params']:.0f} %)"
    assert (
        f"({100 * low:.1f} to ".replace("-", "\N{MINUS SIGN}") in row["difference to dense (95 %)"]
    )


def test_zeros_are_shown_as_zeros(page: Page) -> None:
    row = row_of(page, "magnitude", "params=0.1", "weight")
    runs = runs_of("magnitude", "params=0.1")
    ratio = statistics.fmean(run.latency_dense / run.latency for run in runs)  # type: ignore[operator]

    assert row["parameters"] == "10 % not zero"
    assert row["MACs"] == "1.05 M"
    assert row["measured speed-up"] == f"none ({ratio:.2f}x)"


def test_rows_are_sorted_and_noise_is_named(page: Page) -> None:
    rows = page.rows("All strategies at channel level")
    start = next(number for number, row in enumerate(rows) if "macs=0.1" in row[0])
    last = {row[0]: row for row in rows[start + 1 :]}
    accuracies = [float(row[4].split()[0]) for row in last.values()]

    assert accuracies == sorted(accuracies, reverse=True)
    assert rows[start + 1][7] == "the best"
    assert last["taylor"][7] == "within noise"
    assert last["gradient"][7].endswith(" points")
    assert last["gradient"][6] == "worse (0 of 3)"


def test_the_markdown_holds_every_number_of_the_page(page: Page) -> None:
    text = to_markdown(build(STUDY)).replace("\\", "")

    for row in page.root.all("tr"):
        cells = [cell.text() for cell in row.all("th") + row.all("td")]
        assert (f"| {' | '.join(cells)} |" in text) or f"**{cells[0]}**" in text
    for item in page.root.all("li"):
        assert item.text() in text


# -- names --------------------------------------------------------------------------------------

EVIL = "<script>alert(1)</script>|*x*_y_`&amp;"


def with_names(change: Callable[[str], str]) -> Study:
    runs = [
        replace(
            run,
            strategy=change(run.strategy),
            granularity=change(run.granularity),
            kept={change(name): count for name, count in run.kept.items()},
        )
        for run in STUDY.runs
    ]
    return make_study(*runs, title=change("study"), versions={change("torch"): change("2")})


def test_names_cannot_become_html() -> None:
    html = to_html(build(with_names(lambda name: name + EVIL)))

    assert len(Page(html).root.all("script")) == 3
    assert html.count("</script>") == 3
    assert "magnitude" + EVIL in [title.text() for title in Page(html).root.all("th")]


def test_names_cannot_become_markdown() -> None:
    text = to_markdown(build(with_names(lambda name: name + EVIL)))

    assert r"magnitude\<script\>alert(1)\</script\>\|\*x\*\_y\_\`&amp;" in text
    assert not re.search(r"(?<!\\)[<`]", text)


def test_a_line_break_in_a_name_breaks_no_table() -> None:
    text = to_markdown(build(with_names(lambda name: f"{name}\n# of mine")))

    assert r"| magnitude \# of mine |" in text
    assert "\n# of mine" not in text


# -- what is missing ----------------------------------------------------------------------------


def test_a_study_without_runs_says_so() -> None:
    page = page_of()

    assert page.root.all("figure") == []
    assert "Nothing has been measured yet." in page.root.text()


def test_a_study_of_one_seed_says_what_it_does_not_know() -> None:
    text = text_of(*over_seeds("a", [0.98]), *over_seeds("b", [0.97]), seeds=(0,))

    assert "With one seed nothing is known about seed noise" in text
    assert "| one seed |" in text


def test_an_unfinished_study_says_what_is_missing() -> None:
    text = text_of(*over_seeds("magnitude", [0.98, 0.98]))

    assert "Not all of the 3 seeds have finished for magnitude." in text
    assert "No random control has run at macs=0.5." in text
    assert "No dense network from scratch has run at macs=0.5." in text


UNKNOWN = dict.fromkeys((
    *("accuracy_cut", "accuracy_batch_norm", "file_bytes", "latency", "latency_dense"),
    *("score_seconds", "score_bytes", "penalty_seconds", "agreement"),
))


def test_figures_that_are_missing_are_said_to_be() -> None:
    page = page_of(make_run(**UNKNOWN, kept={}), seeds=(0,))
    text = page.root.text()

    assert "Speed was not measured." in text
    assert "What scoring costs was not measured." in text
    assert "How fast it is was not measured." in text
    assert page.rows("All strategies")[-1][-1] == "not measured"


def test_a_metric_that_is_no_share_is_not_written_in_percent() -> None:
    numbers = {"margin": 0.1, "lower": -0.05, "upper": 0.02, "difference": -0.0123, "lost": None}
    runs = over_seeds("magnitude", [-0.312] * 3, accuracy_cut=-2.5, accuracy_batch_norm=-0.7)
    runs = [replace(run, comparison=run.comparison | numbers) for run in runs]
    dense = {**DENSE, "accuracy": -0.3}
    page = page_of(*runs, dense=dense, margin=0.1, settings={"metric": "loss"})
    row = [text.replace("\N{MINUS SIGN}", "-") for text in page.rows("All strategies")[-1]]

    assert row[2:6] == ["-2.5", "-0.7", "-0.312 ± 0", "-0.0123 (-0.05 to +0.02)"]
    assert "Collapses" not in page.root.text()
    assert "What is called accuracy here is a mean over the test items: loss." in page.root.text()


def test_what_could_not_run_is_listed() -> None:
    failure = Failure(
        strategy="taylor",
        kind="pruned",
        granularity="channel",
        budget="macs=0.01",
        target="macs",
        fraction=0.01,
        seed=0,
        what="macs=0.01 cannot be met",
        why="",
        hint="",
    )
    study = Study(facts=FACTS, runs=(make_run("taylor"),), failures=(failure,))
    text = to_markdown(build(study))

    assert "taylor did not run at channel level, budget macs=0.01: macs=0.01 cannot be met." in text
    assert "Drawback: Did not run at macs=0.01: macs=0.01 cannot be met." in text
