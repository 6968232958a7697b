"""Whatever happens to the files, what is read is what was written, or an error says so."""

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prunus.errors import SaveError
from prunus.save import read

FILES = ["manifest.json", "model.safetensors"]

damaging = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)


@pytest.fixture
def copied(folder, tmp_path):
    """Start from undamaged files: returns a function that restores them."""
    safe = shutil.copytree(folder, tmp_path / "safe")
    return lambda: shutil.copytree(safe, folder, dirs_exist_ok=True)


def same_or_refused(folder, build, small):
    """Whether reading gives the model that was written (True) or a SaveError (False)."""
    try:
        back = read(folder, model=build())
    except SaveError:
        return False
    mine, theirs = back.state_dict(), small.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert torch.equal(back.place, small.place)
    assert back.width == small.width
    return True


@pytest.mark.parametrize("name", FILES)
@given(where=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
@damaging
def test_a_changed_byte(name, where, mask, folder, copied, build, small):
    copied()
    path = Path(folder / name)
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= mask
    path.write_bytes(data)

    survived = same_or_refused(folder, build, small)

    assert not (survived and name == "model.safetensors")


@pytest.mark.parametrize("name", FILES)
@given(where=st.floats(0, 1, exclude_max=True))
@damaging
def test_a_file_that_was_cut_short(name, where, folder, copied, build, small):
    copied()
    data = (folder / name).read_bytes().rstrip()
    (folder / name).write_bytes(data[: int(where * len(data))])

    assert not same_or_refused(folder, build, small)


@pytest.mark.parametrize("name", FILES)
def test_more_bytes_at_the_end(name, folder, build, small):
    with (folder / name).open("ab") as file:
        file.write(b"{}")

    assert not same_or_refused(folder, build, small)


def test_another_layout_of_the_same_manifest_is_fine(folder, build, small):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("\n", "\r\n").replace("  ", "\t"))

    assert same_or_refused(folder, build, small)


def test_units_swapped_for_others_of_the_same_number_are_noticed(folder, build):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("0,2-3,6", "0,2-3,7"))

    with pytest.raises(SaveError, match="is not as it was written"):
        read(folder, model=build())
