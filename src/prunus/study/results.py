"""The results of a study in a folder: one line per run, written when the run is finished.

    runs/demo/
      results.jsonl    {"facts": ...}, then {"run": ...} or {"failure": ...} on each line
      models/          the smaller models, each as `prunus.save` writes one

A line counts from the moment its end is on the disk. What a killed study wrote of the next one is
dropped when it goes on. The lock on the folder dies with the process that holds it.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import IO, Any, TypeAlias

from prunus.errors import SaveError, StudyError
from prunus.files import disk_errors, sync_folder
from prunus.study.records import Facts, Failure, Run, Study

RESULTS, LOCK = "results.jsonl", ".lock"
Record: TypeAlias = Facts | Run | Failure
_KINDS: Mapping[str, type[Record]] = {"facts": Facts, "run": Run, "failure": Failure}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def read_results(folder: str | Path) -> Study:
    """Return the study in a folder, finished or not; a last line that was cut is left out.

    Raises:
        StudyError: There is none, or a line is not as it was written.

    Example:
        >>> read_results("nowhere")
        Traceback (most recent call last):
        prunus.errors.StudyError: 'nowhere' holds no study
          why:  there is no results.jsonl in it
          hint: give the folder that a study was written to
    """
    path = Path(folder) / RESULTS
    study = _study(_lines(path)[0], path) if path.exists() else None
    if study is None:
        raise StudyError(
            f"'{folder}' holds no study",
            why=f"there is no {RESULTS} in it" if not path.exists() else f"{RESULTS} is empty",
            hint="give the folder that a study was written to",
        )
    return study


class Results:
    """A study that is being written.

    Attributes:
        path: Of `results.jsonl`.
        study: What it holds by now.
    """

    def __init__(self, folder: Path, facts: Facts) -> None:
        """Start, or go on where a study of the same facts stopped; see `open_results`."""
        self.path = folder / RESULTS
        lines, whole = _lines(self.path) if self.path.exists() else ([], 0)
        found = _study(lines, self.path)
        if found is not None:
            _check_same(found.facts, facts, folder)
        with on_disk(f"'{self.path}' could not be written"):
            self.path.touch()
            os.truncate(self.path, whole)
        self.study = found or Study(facts=facts, runs=())
        if found is None:
            self._write(facts)
            sync_folder(folder)

    def append(self, record: Run | Failure) -> None:
        """Write one line, and wait until the disk has it.

        Raises:
            StudyError: The disk refuses. What was written before is intact.
        """
        self._write(record)
        self.study = _with(self.study, record)

    def _write(self, record: Record) -> None:
        content = json.dumps({_NAMES[type(record)]: asdict(record)}, allow_nan=False)
        end = self.path.stat().st_size
        with on_disk(f"'{self.path}' could not be written; it ends with the run before"):
            try:
                with self.path.open("ab") as file:
                    file.write(content.encode() + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                os.truncate(self.path, end)
                raise


@contextmanager
def open_results(folder: Path, facts: Facts) -> Iterator[Results]:
    """Hold the folder of a study, new or to be gone on with, until the end of the `with` block.

    Raises:
        StudyError: Another process studies into the folder, it holds another study, a line is
            not as it was written, or the disk refuses.
    """
    with on_disk(f"'{folder}' could not be written"):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("ab")
    with lock:
        if not _acquired(lock):
            raise StudyError(
                f"another study is writing to '{folder}'",
                why="two of them would mix their lines",
                hint="wait until it has ended, or choose another folder",
            )
        yield Results(folder, facts)


@contextmanager
def on_disk(what: str) -> Iterator[None]:
    """Turn a refusal of the disk into a StudyError that says how to go on."""
    try:
        with disk_errors(what):
            yield
    except SaveError as error:
        raise StudyError(
            error.what,
            why=error.why,
            hint=f"{error.hint}; the same call then goes on where this one stopped",
        ) from error


if sys.platform == "win32":
    import msvcrt

    def _acquired(file: IO[bytes]) -> bool:
        """Lock `file` until it is closed; return False where another process has it."""
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _acquired(file: IO[bytes]) -> bool:
        """Lock `file` until it is closed; return False where another process has it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


# -- lines to records -------------------------------------------------------------------------


def _lines(path: Path) -> tuple[list[bytes], int]:
    """Return the lines of a file that end, and how many bytes they have together."""
    with on_disk(f"'{path}' could not be read"):
        content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    return content[:whole].split(b"\n")[:-1], whole


def _study(lines: list[bytes], path: Path) -> Study | None:
    """Return what the lines say; None where there is none."""
    study = None
    for number, line in enumerate(lines, start=1):
        record = _record(line)
        if record is None or isinstance(record, Facts) != (number == 1):
            raise StudyError(
                f"line {number} of '{path}' is not as it was written",
                why="the file was altered, or another program wrote to it",
                hint=f"delete line {number} to have its run done again, or choose another folder"
                if number > 1
                else "choose another folder",
            )
        if isinstance(record, Facts):
            study = Study(facts=record, runs=())
        elif study is not None:
            study = _with(study, record)
    return study


def _with(study: Study, record: Run | Failure) -> Study:
    runs, failures = study.runs, study.failures
    if isinstance(record, Run):
        return Study(facts=study.facts, runs=(*runs, record), failures=failures)
    return Study(facts=study.facts, runs=runs, failures=(*failures, record))


def _record(line: bytes) -> Record | None:
    """Return the record that a line holds; None where it holds none."""
    try:
        data = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or len(data) != 1:
        return None
    ((name, values),) = data.items()
    kind = _KINDS.get(name)
    if kind is None or not isinstance(values, dict):
        return None
    names = {field.name for field in fields(kind)}
    needed = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
    if not needed <= values.keys() <= names:
        return None
    return kind(**{key: _tuples(value) for key, value in values.items()})


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _tuples(value: Any) -> Any:
    """Return JSON with tuples for lists, as records have them."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value


# -- is it the same study? --------------------------------------------------------------------


def _check_same(found: Facts, wanted: Facts, folder: Path) -> None:
    if found.fingerprint == wanted.fingerprint:
        return
    one, other = (_flat(_tuples(json.loads(json.dumps(asdict(f))))) for f in (found, wanted))
    ignored = ("fingerprint", "title", "dense.")
    differences = [
        f"{key} was {one.get(key)} and is {other.get(key)}"
        for key in one | other
        if one.get(key) != other.get(key) and not key.startswith(ignored)
    ]
    raise StudyError(
        f"'{folder}' holds another study",
        why="; ".join(differences[:3]) or "the dense weights or the test data are not the same",
        hint="choose another folder, or go on with the settings that this one was started with",
    )


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return nested settings by their path, "recovery.epochs"."""
    if not isinstance(value, dict):
        return {name: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= _flat(item, f"{name}.{key}" if name else key)
    return found
