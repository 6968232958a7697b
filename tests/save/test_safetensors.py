import pytest
import torch
from safetensors.torch import load_file, save

from prunus.errors import SaveError
from prunus.save.weights import DTYPES, read_tensors, signature, split_tied, write_tensors


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tensors"


def test_bytes_are_those_that_the_library_writes(path):
    tensors = {
        "b": torch.randn(5, 3),
        "a": torch.randn(4, dtype=torch.bfloat16),
        "é": torch.randn(3),
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 4),
        "flags": torch.tensor([True, False]),
    }

    write_tensors(path, tensors)

    assert path.read_bytes() == save(tensors, {"format": "pt"})


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_comes_back(path, dtype):
    tensor = torch.arange(6).reshape(2, 3).to(dtype)

    write_tensors(path, {"x": tensor})
    (back,) = read_tensors(path, {"x": signature(tensor)}).values()

    assert back.dtype == dtype
    assert torch.equal(back.view(torch.uint8), tensor.view(torch.uint8))


def test_views_and_strides_are_written_as_they_read(path):
    whole = torch.arange(24.0).reshape(4, 6)
    views = {"left": whole[:, :3], "turned": whole.T, "row": whole[1], "whole": whole}

    write_tensors(path, views)

    back = load_file(path)
    assert all(torch.equal(back[name], view) for name, view in views.items())


def test_size_and_digest_are_those_of_the_file(path):
    from hashlib import sha256

    size, digest = write_tensors(path, {"x": torch.randn(3)})

    data = path.read_bytes()
    assert (size, digest) == (len(data), sha256(data).hexdigest())


def test_tied_tensors_are_split_by_memory_not_by_value():
    one = torch.zeros(3)
    tensors = {"a": one, "b": one.detach(), "c": torch.zeros(3), "d": one[:2]}

    unique, aliases = split_tied(tensors)

    assert list(unique) == ["a", "c", "d"]
    assert aliases == {"b": "a"}


@pytest.mark.parametrize(
    "expected",
    [
        {"x": ("float32", (3, 2))},
        {"x": ("float16", (2, 3))},
        {},
        {"x": ("float32", (2, 3)), "y": ("float32", ())},
    ],
)
def test_a_file_that_holds_something_else(path, expected):
    write_tensors(path, {"x": torch.zeros(2, 3)})

    with pytest.raises(SaveError, match=r"manifest disagree about '[xy]'"):
        read_tensors(path, expected)


def test_not_a_safetensors_file(path):
    path.write_bytes(b"PK\x03\x04 this is a pickle in a zip")

    with pytest.raises(SaveError, match="no whole safetensors file"):
        read_tensors(path, {})
