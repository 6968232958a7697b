"""Fashion-MNIST: 28 x 28 grey images of clothes, read from the four files of its authors.

Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
Algorithms", 2017, arXiv:1708.07747. The files are in the IDX format of MNIST, gzipped.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from prunus.data.dataset import Dataset, Examples
from prunus.errors import DataError

FOLDER = Path("/usr/share/datasets/fashion-mnist")  # of Debian's dataset-fashion-mnist
CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
MEAN = 0.2860  # of the 60,000 training images, in [0, 1]
STD = 0.3530
_UNSIGNED_BYTES = 0x08  # the third byte of an IDX file says what its numbers are


def fashion_mnist(folder: str | Path | None = None, limit: int | None = None) -> Dataset:
    """Return Fashion-MNIST: 60,000 images to train on, 10,000 to test on.

    Args:
        folder: Where the files are, such as `train-images-idx3-ubyte.gz`; where Debian's package
            puts them unless given.
        limit: Train on the first `limit` images only (their order is random). The test images
            are always all there.

    Raises:
        DataError: A file is absent, truncated or not what it should be, or `limit` is not between
            1 and the number of training images.
    """
    folder = FOLDER if folder is None else Path(folder)
    train_images, train_labels = _read_part(folder, "train")
    test_images, test_labels = _read_part(folder, "t10k")
    if limit is not None and not 1 <= limit <= len(train_labels):
        raise DataError(
            f"limit={limit} is not between 1 and the {len(train_labels):,} training images",
            hint="leave `limit` out to train on all of them",
        )
    return Dataset(
        name="fashion-mnist",
        train=_examples(train_images[:limit], train_labels[:limit]),
        test=_examples(test_images, test_labels),
        classes=CLASSES,
    )


def _examples(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Examples:
    """Return bytes as normalised images (N, 1, 28, 28) and labels (N,)."""
    inputs = torch.from_numpy(images.astype(np.float32)).unsqueeze(1)
    inputs.div_(255).sub_(MEAN).div_(STD)
    return Examples(inputs, torch.from_numpy(labels.astype(np.int64)))


def _read_part(folder: Path, part: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return the images (N, 28, 28) and labels (N,) of one part, checked against each other."""
    images_path = folder / f"{part}-images-idx3-ubyte.gz"
    labels_path = folder / f"{part}-labels-idx1-ubyte.gz"
    images = _read_idx(images_path, item_shape=(28, 28))
    labels = _read_idx(labels_path, item_shape=())
    if len(images) != len(labels):
        raise _broken(labels_path, f"it has {len(labels):,} labels for {len(images):,} images")
    if len(labels) == 0:
        raise _broken(labels_path, "it has no labels")
    if labels.max() >= len(CLASSES):
        raise _broken(labels_path, f"label {labels.max()} is none of the {len(CLASSES)} classes")
    return images, labels


def _read_idx(path: Path, *, item_shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Return the items of a gzipped IDX file of bytes, uint8 (N, *item_shape)."""
    try:
        with gzip.open(path) as file:
            content = file.read()
    except FileNotFoundError as error:
        raise DataError(
            f"Fashion-MNIST is not at {path.parent}: {path.name} is missing",
            hint="apt install dataset-fashion-mnist (Debian, Ubuntu), or give the folder that "
            "holds its four .gz files",
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise _broken(path, str(error)) from error
    rank = 1 + len(item_shape)
    header = 4 * (1 + rank)  # the magic number, then each size, as big-endian 32-bit numbers
    if len(content) < header or content[:4] != bytes((0, 0, _UNSIGNED_BYTES, rank)):
        raise _broken(path, f"it does not start as an IDX file of bytes in {rank} dims does")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", count=rank, offset=4))
    if shape[1:] != item_shape:
        raise _broken(path, f"its items are {_by(shape[1:])}, not {_by(item_shape)}")
    if len(content) - header != math.prod(shape):
        raise _broken(
            path, f"it has {len(content) - header:,} bytes of data, not {math.prod(shape):,}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _by(sizes: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in sizes)


def _broken(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} cannot be read as part of Fashion-MNIST",
        why=why,
        hint="fetch the file again, or give another folder",
    )
