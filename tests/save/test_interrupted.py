"""Full disks and killed runs: the folder holds the old model or the new one, whole."""

import errno
import os
from pathlib import Path

import pytest
import torch

from prunus.errors import SaveError
from prunus.save import read, read_manifest, write
from prunus.shrink import shrink

NEW = "model.safetensors.new"


class Killed(BaseException):
    """What no handler may catch."""


@pytest.fixture
def other(build, plan):
    """A second model of the same plan."""
    return shrink(build(), plan)


def fail_at(monkeypatch, step, error):
    """Raise `error` in place of the step-th call that touches the disk; returns the calls."""
    calls = []

    def guarded(name, function):
        def call(*args, **kwargs):
            calls.append(name)
            if len(calls) == step:
                raise error
            return function(*args, **kwargs)

        return call

    for place, name in [(os, "replace"), (os, "fsync"), (Path, "open"), (Path, "mkdir")]:
        monkeypatch.setattr(place, name, guarded(name, getattr(place, name)))
    return calls


def which(folder, build, *models):
    """Which of `models` the folder holds."""
    found = read(folder, model=build()).conv.weight
    (index,) = [i for i, model in enumerate(models) if torch.equal(found, model.conv.weight)]
    return index


def steps_of_a_write(tmp_path, model, plan):
    write(tmp_path / "dry run", model=model, plan=plan)
    with pytest.MonkeyPatch.context() as patch:
        calls = fail_at(patch, 0, None)
        write(tmp_path / "dry run", model=model, plan=plan)
    return len(calls)


def outcomes(tmp_path, small, other, plan, build, error):
    """Interrupt a write at each of its steps; yields what the folder holds then, and the error."""
    for step in range(1, steps_of_a_write(tmp_path, small, plan) + 1):
        folder = tmp_path / f"step {step}"
        write(folder, model=small, plan=plan)
        with pytest.MonkeyPatch.context() as patch:
            fail_at(patch, step, error)
            with pytest.raises((SaveError, Killed)) as raised:
                write(folder, model=other, plan=plan)
        yield which(folder, build, small, other), str(raised.value)

        write(folder, model=other, plan=plan)
        assert which(folder, build, small, other) == 1
        assert not (folder / NEW).exists()


def test_killed_between_any_two_steps(tmp_path, small, other, plan, build):
    found = [held for held, _ in outcomes(tmp_path, small, other, plan, build, Killed())]

    assert found == sorted(found), "first the old model, from one step on the new one"
    assert set(found) == {0, 1}


def test_a_disk_that_fails_at_any_step(tmp_path, small, other, plan, build):
    full = OSError(errno.ENOSPC, "No space left on device")

    for held, message in outcomes(tmp_path, small, other, plan, build, full):
        assert "No space left" in message
        assert held == 0 or "before is intact" not in message
        assert held == 1 or "holds the new model" not in message


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permissions"),
    ],
)
def test_what_a_full_or_forbidden_disk_says(folder, small, other, plan, build, code, hint):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, 3, OSError(code, os.strerror(code)))
        with pytest.raises(SaveError, match=f"is intact\n  why:  .*\n  hint: .*{hint}"):
            write(folder, model=other, plan=plan)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_first_write_that_was_killed_is_no_obstacle(tmp_path, small, plan, build):
    (tmp_path / NEW).write_bytes(b"half a file")
    (tmp_path / ".manifest.json.1234").write_bytes(b"{")

    with pytest.raises(SaveError, match="holds no saved model"):
        read(tmp_path, model=build())
    write(tmp_path, model=small, plan=plan)

    assert which(tmp_path, build, small) == 0
    assert not (tmp_path / NEW).exists()


def test_new_weights_whose_manifest_was_committed_are_read_and_kept(folder, build, small, plan):
    (folder / "model.safetensors").rename(folder / NEW)
    (folder / "model.safetensors").write_bytes(b"the old weights")

    assert which(folder, build, small) == 0
    write(folder, model=small, plan=plan)
    assert which(folder, build, small) == 0


def test_links_are_replaced_and_what_they_point_to_is_left_alone(tmp_path, folder, small, plan):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (folder / NEW).symlink_to(precious)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(precious)

    write(folder, model=small, plan=plan)

    assert precious.read_text() == "mine"
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert read_manifest(folder).size == (folder / "model.safetensors").stat().st_size
