"""The tables that pages show are those that the committed results make."""

import json
import re
import runpy
from pathlib import Path

import pages
import pytest

BENCHMARKS = pages.ROOT / "benchmarks"
TABLES = runpy.run_path(str(BENCHMARKS / "tables.py"))
filled = TABLES["filled"]


@pytest.mark.parametrize("page", list(TABLES["pages"]()), ids=pages.name)
def test_tables_are_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert filled(text) == text, "run: make docs"
    assert len(re.findall("<!-- /?benchmark:", text)) == 2 * len(TABLES["MARKED"].findall(text))


@pytest.mark.parametrize("name", TABLES["TABLES"])
def test_every_table_has_results_and_a_script(name: str) -> None:
    assert "\n| ---" in TABLES["table"](name)
    result = json.loads((BENCHMARKS / "results" / f"{name}.json").read_text(encoding="utf-8"))
    _, script, *module = result["command"].split()
    path = module[0].replace(".", "/") if script == "-m" else script
    assert (BENCHMARKS.parent / path).exists()


def test_what_stands_between_the_markers_is_replaced() -> None:
    old = "a\n<!-- benchmark:selection -->\nold\n<!-- /benchmark:selection -->\nb\n"

    new = filled(old)

    assert new.startswith("a\n<!-- benchmark:selection -->\n| ")
    assert new.endswith("\n<!-- /benchmark:selection -->\nb\n")
    assert "old" not in new
    assert filled(new) == new


def test_a_table_without_a_function_fails() -> None:
    with pytest.raises(FileNotFoundError, match="unknown"):
        filled("<!-- benchmark:unknown -->\n<!-- /benchmark:unknown -->")


def test_a_row_by_hand() -> None:
    side = {"median_seconds": 0.514, "extra_bytes": 39_600_000, "extra_share": 0.0994}
    result = {"weights": 99_600_000, "sparsity": 0.9, "times_faster": 42.4}

    lines = TABLES["selection"]({**result, "sides": {"torch": side}}).splitlines()

    assert lines == [
        "| 100 M weights, 90% to zero | time | extra memory | of the model |",
        "| --- | ---: | ---: | ---: |",
        "| `torch.nn.utils.prune` | 0.51 s | 40 MB | 10% |",
        "",
        "42 times faster, with the same zeros.",
    ]


def test_a_row_of_scoring_by_hand() -> None:
    def size(params: int, seconds: float) -> dict[str, object]:
        timed = {"granularity": "weight", "median_seconds": seconds, "seconds": [seconds]}
        lamp = {**timed, "extra_bytes": 12_300_000}
        return {"params": params, "criteria": {"lamp": lamp, "fpgm": {"longer_than": 12}}}

    result = {"networks": {"resnet50": [size(10_000_000, 0.5), size(20_000_000, 1.0)]}}

    lines = TABLES["scoring"](result).splitlines()

    assert lines[:4] == [
        "| criterion | units | resnet50, 20 M: time | extra memory | growth |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| `lamp` | weights | 1.00 s | 12 MB | 1.0 |",
        "| `fpgm` | channels | > 12 s | - | - |",
    ]
