"""The guide of strategies: its pages, its figures, and what its texts say about them."""

import json
import runpy
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any
from xml.etree import ElementTree

import pages
import pytest

from prunus import criteria, solvers
from prunus.train.penalties import PENALTIES

BENCHMARKS = pages.ROOT / "benchmarks"
GUIDE = pages.DOCS / "strategies"
TABLES = runpy.run_path(str(BENCHMARKS / "tables.py"))
PLOTS = runpy.run_path(str(BENCHMARKS / "plots.py"))
NAMES = [*criteria.names(), *solvers.names(), *PENALTIES]


@cache
def script() -> dict[str, Any]:
    """Return what benchmarks/strategies.py defines."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return runpy.run_path(str(BENCHMARKS / "strategies.py"))
    finally:
        sys.path.remove(str(BENCHMARKS))


def row(strategy: str, **changes: Any) -> dict[str, Any]:
    return {
        "strategy": strategy, "kind": "pruned", "granularity": "channel", "budget": "macs=0.5",
        "needs": ["data"], "accuracy_cut": 0.25, "accuracy_batch_norm": 0.5, "accuracy": 0.9,
        "seeds": {"accuracy_cut": [0.2, 0.3], "accuracy_batch_norm": [0.5, 0.5],
                  "accuracy": [0.8, 1.0]},
        "verdicts": ["same", "worse"], "score_seconds": 1.5, "allocation": "uniform", **changes,
    }  # fmt: skip


def result(*rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "title": "by hand", "rows": list(rows), "refused": [], "seeds": [0, 1], "margin": 0.02,
        "items": 100, "dense": {"accuracy": 0.95}, "command": "python x.py", "date": "today",
        "cpus": 2, "threads": 1, "python": "3", "torch": "2", **changes,
    }  # fmt: skip


WEIGHTS = {"granularity": "weight", "budget": "params=0.1", "allocation": "global"}
BY_HAND = result(
    *(row(name) for name in ("taylor", "magnitude", "random")),
    *(row(name, **WEIGHTS) for name in ("taylor", "magnitude", "random")),
)


# -- pages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [GUIDE, pages.CHINESE / "strategies"], ids=["en", "zh"])
@pytest.mark.parametrize("name", NAMES)
def test_every_criterion_solver_and_penalty_has_a_page_with_its_figures(name, folder) -> None:
    text = (folder / f"{name}.md").read_text(encoding="utf-8")

    assert text.startswith(f"# `{name}`\n")
    assert f"<!-- benchmark:strategy {name} -->" in text
    assert len(pages.heading_levels(folder / f"{name}.md")) == 6
    assert [block.language for block in pages.blocks(folder / f"{name}.md")] == ["text", "python"]


def test_the_study_runs_all_that_has_a_page() -> None:
    names = {one.name for level in ("channel", "weight") for one in script()["every"](level)}

    assert set(NAMES) <= names


@pytest.mark.parametrize("level", ["channel", "weight"])
def test_strategies_have_names_of_their_own_and_pages(level) -> None:
    names = [one.name for one in script()["every"](level)]

    assert len(set(names)) == len(names)
    assert all((GUIDE / f"{TABLES['_page'](name)}.md").exists() for name in [*names, "scratch"])


def test_what_compares_inside_layers_only_is_uniform() -> None:
    every = {one.name: one for one in script()["every"]("weight")}

    assert {every[name].allocation for name in ("wanda", "ria", "sparsegpt")} == {"uniform"}
    assert {every[name].allocation for name in ("magnitude", "l1", "greg-1")} == {"global"}
    assert "slimming" not in every
    channels = {one.name: one for one in script()["every"]("channel")}
    assert channels["slimming"].criterion == "batch_norm_scale"


# -- tables -----------------------------------------------------------------------------------


def test_a_strategy_stands_beside_magnitude_and_random() -> None:
    lines = TABLES["strategy"]({"digits": BY_HAND}, "taylor").splitlines()

    assert lines[0].startswith("|  | after the cut | batch norms anew | after recovery |")
    assert (
        lines[2] == "| digits channels: taylor | 25.0% | 50.0% | 90.0% | 1 same, 1 worse | 1.50 s |"
    )
    assert [line.split(" | ")[0][2:] for line in lines[3:8]] == [
        "digits channels: magnitude", "digits channels: random",
        "digits weights: taylor", "digits weights: magnitude", "digits weights: random",
    ]  # fmt: skip
    assert lines[-1] == (
        "Kept: channels macs=0.5, weights params=0.1. Means over 2 seeds: digits (dense 95.0%, "
        "100 test images, margin 2%)."
    )


def test_magnitude_is_that_of_the_same_allocation() -> None:
    uniform = row("magnitude, uniform", **{**WEIGHTS, "allocation": "uniform"})
    wanda = row("wanda", **{**WEIGHTS, "allocation": "uniform"})
    found = {"digits": result(*BY_HAND["rows"], uniform, wanda)}

    assert "digits weights: magnitude, uniform" in TABLES["strategy"](found, "wanda")
    assert "magnitude, uniform" not in TABLES["strategy"](found, "taylor")


def test_what_does_not_run_is_said_once() -> None:
    refusal = {"strategy": "apoz", "granularity": "weight", "why": "no activations"}
    one = result(*BY_HAND["rows"], refused=[refusal])

    assert TABLES["strategy"]({"digits": one, "other": one}, "apoz") == (
        "Not for weights: no activations."
    )


def test_a_family_is_what_shares_a_name() -> None:
    found = {"digits": result(*BY_HAND["rows"], row("magnitude, erk"), row("magnitudes"))}

    lines = TABLES["family"](found, "magnitude").splitlines()

    names = [line.split(" | ")[0] for line in lines if line.startswith("| digits")]
    assert names == [
        "| digits channels: magnitude, uniform", "| digits channels: magnitude, erk",
        "| digits weights: magnitude, global",
    ]  # fmt: skip


def test_the_overview_has_a_column_for_each_data_set_that_was_measured() -> None:
    scratch = row("scratch", accuracy_cut=None, accuracy_batch_norm=None, score_seconds=None)
    one = result(*BY_HAND["rows"], scratch)

    lines = TABLES["overview"]({"digits": one, "Fashion-MNIST": one}, None).splitlines()

    assert lines[0].endswith("digits weights | Fashion-MNIST channels | Fashion-MNIST weights |")
    assert lines[2].startswith("| [taylor](taylor.md) | data | 1.50 s | 25% → 50% → 90.0% |")
    assert lines[5] == "| [scratch](random.md) | data | - | 90.0% | - | 90.0% | - |"


def test_data_sets_that_were_not_measured_are_left_out(tmp_path, monkeypatch) -> None:
    names = TABLES["studies"].__globals__
    monkeypatch.setitem(names, "RESULTS", tmp_path)
    assert TABLES["table"]("strategies") == "Not measured yet."

    text = json.dumps(BY_HAND)
    (tmp_path / "strategies-fashion-mnist.json").write_text(text, encoding="utf-8")
    assert list(TABLES["studies"]()) == ["Fashion-MNIST"]
    assert TABLES["table"]("strategy-plots", "x") == "![Fashion-MNIST](x/fashion-mnist.svg)"


# -- plots ------------------------------------------------------------------------------------


def test_the_plots_are_those_of_the_results() -> None:
    pictures = list(PLOTS["pictures"]())

    assert pictures
    for path, svg in pictures:
        assert path.read_text(encoding="utf-8") == svg, "run: make docs"
        ElementTree.fromstring(svg)


def circles(svg: str) -> Iterator[tuple[str, str]]:
    for circle in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}circle"):
        yield circle[0].text, circle.get("class")


def test_a_dot_for_each_strategy_and_accuracy() -> None:
    rows = [row("a&b"), row("taylor", **WEIGHTS), row("random", kind="control")]
    drawn = list(circles(PLOTS["drawing"](result(*rows))))

    assert drawn[:2] == [("a&b: 25.0%", "pruned hollow"), ("random: 25.0%", "control hollow")]
    assert ("a&b: 90.0%", "pruned") in drawn
    assert len(drawn) == 9


def test_an_axis_leaves_out_what_falls_far_off() -> None:
    scale = PLOTS["Scale"](100, PLOTS["lower_end"]([0.2, *[0.95, 0.96, 0.97, 0.98] * 5]))

    assert scale.low == pytest.approx(0.92)
    assert scale(0.2) == 100
    assert scale(1.0) == 100 + PLOTS["PANEL"]


# -- what the pages say -----------------------------------------------------------------------

RESULTS = BENCHMARKS / "results"
FIGURES, HARD = (
    json.loads((RESULTS / f"strategies-{name}.json").read_text("utf-8"))
    for name in ("digits", "fashion-mnist")
)
CUT, ANEW, END = "accuracy_cut", "accuracy_batch_norm", "accuracy"
MORE = [
    ("channel", ANEW, "magnitude", "random", 0.02),
    ("channel", ANEW, "random", "hrank", 0.0),
    ("channel", CUT, "wanda", "magnitude", 0.2),
    ("channel", CUT, "group-lasso", "magnitude", 0.5),
    ("weight", END, "magnitude", "greg-2", 0.05),
    ("channel", END, "magnitude", "magnitude, global", 0.5),
    ("channel", ANEW, "random", "grasp", 0.1),
    ("weight", END, "magnitude", "random", 0.2),
    ("weight", END, "shuffled", "random", 0.1),
    ("weight", END, "magnitude", "shuffled", 0.0),
    ("weight", END, "shuffled", "movement", 0.1),
    ("weight", END, "taylor", "gradient", 0.3),
    ("weight", END, "snip", "gradient", 0.3),
    ("weight", END, "fisher", "magnitude", 0.01),
    ("weight", END, "hessian", "magnitude", 0.01),
    ("weight", END, "magnitude", "magnitude, uniform", 0.2),
    ("weight", END, "magnitude", "normalized", 0.5),
    ("weight", END, "wanda", "magnitude, uniform", 0.0),
    ("weight", END, "while training, rigl", "magnitude", 0.005),
    ("weight", END, "magnitude", "while training, lottery", 0.5),
    ("weight", END, "magnitude", "while training, rate-rewinding", 0.3),
    ("channel", END, "while training, agp", "magnitude", 0.0),
]


MORE_ON_FASHION_MNIST = [
    ("channel", ANEW, "magnitude", "random", 0.1),
    ("channel", END, "wanda", "random", 0.03),
    ("channel", END, "thinet", "random", 0.03),
    ("channel", END, "random", "hrank", 0.05),
    ("channel", END, "random", "apoz", 0.05),
    ("channel", END, "random", "movement", 0.03),
    ("channel", ANEW, "l2", "l1", 0.0),
    ("channel", END, "l1", "l2", 0.1),
    ("channel", END, "magnitude", "greg-1", 0.1),
    ("channel", END, "magnitude", "group-sparse", 0.1),
    ("weight", END, "lamp", "magnitude", 0.2),
    ("weight", END, "shuffled", "magnitude", 0.1),
    ("weight", END, "fisher", "magnitude", 0.1),
    ("weight", END, "hessian", "magnitude", 0.2),
    ("weight", END, "taylor", "gradient", 0.1),
    ("weight", END, "scratch", "lamp", 0.1),
]


def figure(level: str, name: str, stage: str, result=FIGURES) -> float:
    rows = {r["strategy"]: r for r in result["rows"] if r["granularity"] == level}
    return rows[name][stage]


@pytest.mark.parametrize(("level", "stage", "better", "worse", "by"), MORE)
def test_what_the_pages_say_is_so_on_digits(level, stage, better, worse, by) -> None:
    assert figure(level, better, stage) > figure(level, worse, stage) + by


@pytest.mark.parametrize(("level", "stage", "better", "worse", "by"), MORE_ON_FASHION_MNIST)
def test_what_the_pages_say_is_so_on_fashion_mnist(level, stage, better, worse, by) -> None:
    better, worse = (figure(level, name, stage, HARD) for name in (better, worse))
    assert better > worse + by


def test_after_recovery_channel_criteria_are_within_a_few_points() -> None:
    ends = [
        r[END] for r in FIGURES["rows"]
        if r["granularity"] == "channel" and r["strategy"] != "magnitude, global"
    ]  # fmt: skip

    assert max(ends) - min(ends) < 0.03
