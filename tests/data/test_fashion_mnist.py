"""Fashion-MNIST from files made here; from the real ones where they are installed."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from prunus.data import fashion_mnist
from prunus.data.fashion_mnist import FOLDER
from prunus.errors import DataError

IMAGES = "train-images-idx3-ubyte.gz"
LABELS = "train-labels-idx1-ubyte.gz"


def idx(array: np.ndarray) -> bytes:
    """Return the bytes of an IDX file."""
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images to train on, five to test on."""
    random = np.random.default_rng(0)
    for part, items in (("train", 12), ("t10k", 5)):
        images = random.integers(0, 256, (items, 28, 28), dtype=np.uint8)
        write(tmp_path / f"{part}-images-idx3-ubyte.gz", idx(images))
        labels = (np.arange(items) % 10).astype(np.uint8)
        write(tmp_path / f"{part}-labels-idx1-ubyte.gz", idx(labels))
    return tmp_path


def images_of(folder: Path) -> np.ndarray:
    content = gzip.decompress((folder / IMAGES).read_bytes())
    return np.frombuffer(content, np.uint8, offset=16).reshape(-1, 28, 28)


def test_reads_what_was_written(folder):
    data = fashion_mnist(folder)
    expected = (images_of(folder).astype(np.float64) / 255 - 0.2860) / 0.3530
    assert data.train.inputs.shape == (12, 1, 28, 28)
    np.testing.assert_allclose(data.train.inputs[:, 0], expected, rtol=1e-5, atol=1e-6)
    assert data.train.targets.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert data.test.targets.dtype == torch.int64
    assert data.classes[9] == "ankle boot"


def test_limit_shortens_the_training_images_only(folder):
    whole, part = fashion_mnist(folder), fashion_mnist(str(folder), limit=7)
    assert torch.equal(part.train.inputs, whole.train.inputs[:7])
    assert torch.equal(part.test.inputs, whole.test.inputs)


@pytest.mark.parametrize("limit", [0, -1, 13])
def test_limit_out_of_range(folder, limit):
    with pytest.raises(DataError, match=f"limit={limit} is not between 1 and the 12"):
        fashion_mnist(folder, limit=limit)


def test_absent_files_say_how_to_get_them(tmp_path):
    with pytest.raises(DataError, match="apt install dataset-fashion-mnist") as caught:
        fashion_mnist(tmp_path)
    assert str(tmp_path) in caught.value.what


def no_gzip(folder):
    (folder / IMAGES).write_bytes(b"not a gzip file")


def truncated_gzip(folder):
    (folder / IMAGES).write_bytes((folder / IMAGES).read_bytes()[:500])


def flipped_byte(folder):
    content = bytearray((folder / IMAGES).read_bytes())
    content[200] ^= 0xFF
    (folder / IMAGES).write_bytes(content)


def wrong_magic(folder):
    write(folder / IMAGES, b"\0\0\x0d\x03" + idx(images_of(folder))[4:])


def cut_header(folder):
    write(folder / IMAGES, idx(images_of(folder))[:10])


def other_size(folder):
    write(folder / IMAGES, idx(np.zeros((12, 32, 32), np.uint8)))


def missing_bytes(folder):
    write(folder / IMAGES, idx(images_of(folder))[:-1])


def more_bytes(folder):
    write(folder / IMAGES, idx(images_of(folder)) + b"\0")


DAMAGE = {
    no_gzip: "Not a gzipped file",
    truncated_gzip: "ended before the end-of-stream",
    flipped_byte: "CRC check failed|invalid|incorrect|Error -3",
    wrong_magic: "does not start as an IDX file of bytes in 3 dims",
    cut_header: "does not start as an IDX file",
    other_size: "its items are 32 x 32, not 28 x 28",
    missing_bytes: "9,407 bytes of data, not 9,408",
    more_bytes: "9,409 bytes of data, not 9,408",
}


@pytest.mark.parametrize(("damage", "words"), DAMAGE.items(), ids=lambda value: str(value))
def test_a_damaged_file_is_named_and_the_damage_said(folder, damage, words):
    damage(folder)
    with pytest.raises(DataError, match=words) as caught:
        fashion_mnist(folder)
    assert IMAGES in caught.value.what


def test_as_many_labels_as_images(folder):
    write(folder / LABELS, idx(np.zeros(11, np.uint8)))
    with pytest.raises(DataError, match="11 labels for 12 images"):
        fashion_mnist(folder)


def test_labels_are_classes(folder):
    write(folder / LABELS, idx(np.full(12, 10, np.uint8)))
    with pytest.raises(DataError, match="label 10 is none of the 10 classes"):
        fashion_mnist(folder)


def test_no_images_at_all(folder):
    write(folder / IMAGES, idx(np.zeros((0, 28, 28), np.uint8)))
    write(folder / LABELS, idx(np.zeros(0, np.uint8)))
    with pytest.raises(DataError, match="it has no labels"):
        fashion_mnist(folder)


@pytest.mark.skipif(not FOLDER.exists(), reason="needs apt package dataset-fashion-mnist")
def test_the_real_files():
    data = fashion_mnist()
    assert data.train.inputs.shape == (60_000, 1, 28, 28)
    assert data.test.targets.bincount().tolist() == [1000] * 10
    assert abs(data.train.inputs.mean().item()) < 1e-3
    assert abs(data.train.inputs.std().item() - 1) < 1e-3
