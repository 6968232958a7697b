"""The report in a real browser: no request, no error, every chart drawn, no sideways scrolling."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample import DENSE, make_run, make_study, sample_study

from prunus.study.records import Study
from prunus.study.report import write_report

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install 'prunus[dev]'"
)
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH")

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
PATIENCE = 600_000  # milliseconds: a busy machine is no failure
LAYERS = ".scatterlayer .trace, .barlayer .trace, .heatmaplayer .hm"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE)
        yield browser
        browser.close()


def problems(browser: Any, path: Path, *, width: int, scheme: str = "light") -> list[str]:
    """Return what is wrong with a page at some width."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(PATIENCE)
    found: list[str] = []
    page.on("console", lambda message: found.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.append(f"error: {error}"))
    page.on("request", lambda request: found.append(f"request: {request.url}"))
    page.goto(path.as_uri(), wait_until="load")
    for plot in page.query_selector_all(".plot"):
        name = plot.get_attribute("id")
        if not plot.query_selector("svg.main-svg"):
            found.append(f"{name} is not drawn")
        elif not plot.query_selector_all(LAYERS):
            found.append(f"{name} has no trace")
        elif plot.query_selector("svg.main-svg").bounding_box()["width"] > width:
            found.append(f"{name} is too wide")
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("the page scrolls sideways")
    page.close()
    return [one for one in found if one != f"request: {path.as_uri()}"]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(sample_study(), tmp_path_factory.mktemp("report"))[0]


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (1400, "light"), (400, "dark")])
def test_the_report_is_sound(browser: Any, report: Path, width: int, scheme: str) -> None:
    assert problems(browser, report, width=width, scheme=scheme) == []


def evil_study() -> Study:
    name = "<img src=x onerror=alert(1)><script>alert(1)</script>" + "long" * 20
    study = sample_study()
    runs = [replace(run, strategy=f"{name} {run.strategy}") for run in study.runs]
    return make_study(*runs, title=name)


def loss_study() -> Study:
    """Return a study whose metric is a loss with its sign turned: no share of the items."""
    run = make_run(accuracy=-0.35, accuracy_cut=-2.5, accuracy_batch_norm=-0.8)
    run = replace(run, comparison={**run.comparison, "lost": None})
    return make_study(run, dense={**DENSE, "accuracy": -0.3})


STUDIES = {
    "loss": loss_study(),
    "names": evil_study(),
    "one run": make_study(make_run(), seeds=(0,)),
    "no run": make_study(),
}


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_odd_studies_are_sound(browser: Any, tmp_path: Path, study: Study) -> None:
    html, _ = write_report(study, tmp_path)

    assert problems(browser, html, width=400) == []


WRONG = """<!doctype html><title>wrong</title><div class="plot" id="one"></div>
<img src="http://localhost:9/x.png"><p style="width:5000px">wide</p><script>missing()</script>"""


def test_a_wrong_page_is_found_out(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "wrong.html").write_text(WRONG)
    found = "\n".join(problems(browser, tmp_path / "wrong.html", width=400))

    for words in ("missing is not defined", "one is not drawn", "scrolls sideways", "x.png"):
        assert words in found
