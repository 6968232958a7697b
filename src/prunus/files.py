"""Files that are whole or not there: atomic writes, limited reads, errors with a cure."""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from prunus.errors import SaveError

_HINTS = {
    errno.ENOSPC: "free some space, or choose another disk",
    errno.EDQUOT: "free some space, or choose another disk",
    errno.EACCES: "choose a place that you may write to, or change its permissions",
    errno.EPERM: "choose a place that you may write to, or change its permissions",
    errno.EROFS: "choose a place that you may write to; this disk is read-only",
    errno.ENOENT: "check the path; the folder must exist",
    errno.EISDIR: "give the path of a file",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "give a path whose folders are folders",
}


def atomic_write(path: str | Path, data: bytes | str) -> None:
    """Write a file so that at every moment the old or the new one is there, whole.

    The data go to a hidden file beside it, then to the disk, and only then to their name. A
    symbolic link at `path` is replaced, not followed.

    Args:
        path: Of the file; its folder must exist.
        data: All of it; text is written as UTF-8.

    Raises:
        SaveError: If the disk refuses. The old file is there, whole (the new one if it was only
            at the last step that the disk failed).

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     atomic_write(f"{folder}/plan.json", "{}")
        ...     [file.name for file in Path(folder).iterdir()]
        ['plan.json']
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    with disk_errors(f"'{path}' could not be written"):
        try:
            write_new(temporary, [data.encode() if isinstance(data, str) else data])
            Path(temporary).replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def write_new(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file that is not there yet, chunk by chunk, and wait until the disk has it."""
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk knows the new names in `folder`, where there is a way to ask for that.

    Windows has none, nor have some network and user-space file systems.
    """
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)


def read_limited(path: str | Path, *, limit: int) -> bytes:
    """Return the bytes of a file.

    Raises:
        SaveError: If it cannot be read, or is larger than `limit` bytes.
    """
    path = Path(path)
    with disk_errors(f"'{path}' could not be read"), path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise SaveError(
            f"'{path}' is larger than {limit} bytes",
            why="files of prunus of this kind are smaller",
            hint="check the path",
        )
    return data


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn an OSError into a SaveError that says `what` happened, why, and what to do."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        hint = _HINTS.get(error.errno or 0, "check the path and the disk")
        raise SaveError(what, why=why, hint=hint) from error
