import os
from stat import S_ISDIR

import pytest

from prunus.errors import SaveError
from prunus.files import atomic_write, read_limited


@pytest.mark.parametrize(("data", "expected"), [("é\n", b"\xc3\xa9\n"), (b"\r\n\0", b"\r\n\0")])
def test_text_is_utf8_and_bytes_are_bytes(tmp_path, data, expected):
    atomic_write(tmp_path / "x", data)

    assert (tmp_path / "x").read_bytes() == expected


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    atomic_write(tmp_path / "x", "old")
    atomic_write(str(tmp_path / "x"), "new")

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"x": "new"}


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        atomic_write(tmp_path / "x", "")
    finally:
        os.umask(before)

    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch, function):
    atomic_write(tmp_path / "x", "old")

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(SaveError, match="could not be written\n  why:  No space left"):
        atomic_write(tmp_path / "x", "new")

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"x": "old"}


def test_a_link_is_replaced_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "x").symlink_to(tmp_path / "precious")

    atomic_write(tmp_path / "x", "new")

    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "x").is_symlink()


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(SaveError, match=r"No such file(.|\n)*hint: check the path"):
        atomic_write(tmp_path / "nowhere" / "x", "")


def test_a_folder_where_a_file_is_expected(tmp_path):
    (tmp_path / "x").mkdir()

    with pytest.raises(SaveError, match="could not be written"):
        atomic_write(tmp_path / "x", "")
    with pytest.raises(SaveError, match="could not be read"):
        read_limited(tmp_path / "x", limit=10)


def test_reading_stops_at_the_limit(tmp_path):
    (tmp_path / "x").write_bytes(b"12345")

    assert read_limited(tmp_path / "x", limit=5) == b"12345"
    with pytest.raises(SaveError, match="is larger than 4 bytes"):
        read_limited(tmp_path / "x", limit=4)


def test_file_systems_that_cannot_sync_folders_are_fine(tmp_path, monkeypatch):
    synced = os.fsync

    def refuse_folders(descriptor):
        if S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    atomic_write(tmp_path / "x", "data")

    assert (tmp_path / "x").read_text() == "data"
