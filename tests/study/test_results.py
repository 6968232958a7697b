"""The file of results: whole lines, one writer, one study."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sample import FACTS as SAMPLE
from sample import make_run

from prunus.errors import StudyError
from prunus.study.records import Failure, Study
from prunus.study.results import RESULTS, open_results, read_results

FACTS = replace(SAMPLE, settings={"loss": "CrossEntropyLoss()", "exclude": ("stem.*",)})
RUNS = tuple(make_run(strategy, seed=seed) for seed in (0, 1) for strategy in ("taylor", "l1"))
FAILURE = Failure(
    strategy="random",
    kind="control",
    granularity="channel",
    budget="macs=0.01",
    target="macs",
    fraction=0.01,
    seed=0,
    what="macs=0.01 cannot be met",
    why="9 of 9 groups are frozen",
    hint="ask for more",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of results with four runs and a failure."""
    with open_results(tmp_path, FACTS) as results:
        for record in (*RUNS[:2], FAILURE, *RUNS[2:]):
            results.append(record)
    return tmp_path / RESULTS


# -- reading what was written -----------------------------------------------------------------


def test_what_was_written_is_read(file: Path) -> None:
    assert read_results(file.parent) == Study(facts=FACTS, runs=RUNS, failures=(FAILURE,))


def test_every_line_is_json_of_one_kind(file: Path) -> None:
    kinds = [list(json.loads(line)) for line in file.read_text().splitlines()]

    assert kinds == [["facts"], ["run"], ["run"], ["failure"], ["run"], ["run"]]


def test_a_folder_without_a_study(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"holds no study\n  why:  there is no results.jsonl"):
        read_results(tmp_path)
    (tmp_path / RESULTS).touch()
    with pytest.raises(StudyError, match=r"holds no study\n  why:  results.jsonl is empty"):
        read_results(tmp_path)


# -- a line that was cut ----------------------------------------------------------------------


def test_wherever_the_last_line_was_cut_the_lines_before_are_read(file: Path) -> None:
    content = file.read_bytes()
    last = content[:-1].rfind(b"\n") + 1
    for end in range(last, len(content)):
        file.write_bytes(content[:end])

        assert read_results(file.parent).runs == RUNS[:-1]


def test_a_line_that_was_cut_is_dropped_and_written_again(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:-1])

    with open_results(file.parent, FACTS) as results:
        assert results.study.runs == RUNS[:-1]
        results.append(RUNS[-1])

    assert file.read_bytes() == content


def test_facts_that_were_cut_are_written_again(tmp_path: Path) -> None:
    (tmp_path / RESULTS).write_text('{"facts": {"titl')

    with open_results(tmp_path, FACTS):
        pass

    assert read_results(tmp_path) == Study(facts=FACTS, runs=())


# -- a line that is not as it was written -------------------------------------------------------

RUN = json.dumps({"run": {"strategy": "taylor"}})


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "null",
        '{"run": 1}',
        '{"walk": {}}',
        RUN,
        "{}",
        '{"run": {"seed": NaN}}',
        "\0",
    ],
)
def test_a_broken_line_in_the_middle_is_named(line: str, file: Path) -> None:
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:2], line, *lines[3:]]) + "\n")

    with pytest.raises(StudyError, match=r"line 3 of .*results.jsonl' is not as it was written"):
        read_results(file.parent)
    with pytest.raises(StudyError, match="hint: delete line 3 to have its run done again"):
        open_results(file.parent, FACTS).__enter__()


@pytest.mark.parametrize(("order", "number"), [([1, 0], 1), ([0, 1, 0], 3)])
def test_facts_come_first_and_once(order: list[int], number: int, file: Path) -> None:
    lines = file.read_text().splitlines()
    file.write_text("".join(f"{lines[place]}\n" for place in order))

    with pytest.raises(StudyError, match=f"line {number} of"):
        read_results(file.parent)


def test_a_field_too_many_is_an_alteration(file: Path) -> None:
    lines = file.read_text().splitlines()
    file.write_text(lines[0] + "\n" + lines[1].replace('"seed"', '"sead"') + "\n")

    with pytest.raises(StudyError, match="line 2 of"):
        read_results(file.parent)


# -- one study at a time ----------------------------------------------------------------------


def test_two_studies_into_one_folder_are_refused(tmp_path: Path) -> None:
    other = pytest.raises(StudyError, match="another study is writing to")
    with open_results(tmp_path, FACTS), other:
        open_results(tmp_path, FACTS).__enter__()
    with open_results(tmp_path, FACTS):
        pass


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "from test_results import FACTS, open_results\n"
        "with open_results(Path(sys.argv[1]), FACTS): print('held', flush=True); input()"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StudyError, match="another study is writing to"):
            open_results(tmp_path, FACTS).__enter__()
        other.kill()
        other.wait()
    with open_results(tmp_path, FACTS) as results:
        assert results.study.facts == FACTS


def test_another_study_is_refused_and_the_difference_named(file: Path) -> None:
    content = file.read_bytes()
    others = {
        "margin was 0.02 and is 0.01": {"margin": 0.01},
        "recovery.epochs was 6 and is 9": {"recovery": {**FACTS.recovery, "epochs": 9}},
        "versions.torch was 2.13.0 and is 3.0": {"versions": {**FACTS.versions, "torch": "3.0"}},
        "the dense weights or the test data are not the same": {"title": "other"},
    }
    for words, changes in others.items():
        other = replace(FACTS, fingerprint="another", **changes)
        with pytest.raises(StudyError, match=f"holds another study\n  why:  {words}"):
            open_results(file.parent, other).__enter__()

    assert file.read_bytes() == content


# -- no space ---------------------------------------------------------------------------------


def test_no_space_loses_nothing_that_was_written(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_results(file.parent, FACTS) as results:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(StudyError, match=r"No space left on device\n  hint: free some"):
                results.append(RUNS[0])
        assert file.read_bytes() == content
        results.append(RUNS[0])
    assert read_results(file.parent).runs == (*RUNS, RUNS[0])


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StudyError, match=r"file/study' could not be written\n  why:  Not a dir"):
        open_results(tmp_path / "file" / "study", FACTS).__enter__()


def test_a_figure_that_is_not_finite_is_not_written(file: Path) -> None:
    content = file.read_bytes()
    with open_results(file.parent, FACTS) as results, pytest.raises(ValueError, match="float"):
        results.append(replace(RUNS[0], latency=float("nan")))

    assert file.read_bytes() == content
