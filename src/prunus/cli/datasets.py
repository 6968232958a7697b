"""DATA: where the command line gets batches to train on and batches to test on."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from prunus.cli import libraries, user_file
from prunus.cli.asked import Shape
from prunus.data import Batches, Dataset, checked, digits, fashion_mnist
from prunus.errors import DataError, unknown_name
from prunus.inputs import Inputs, map_tensors, tensors_in

TRAIN_BATCH, TEST_BATCH = 64, 256
_IMAGE_SIZE = (224, 224)


@dataclass(frozen=True, kw_only=True)
class Data:
    """Batches (inputs, targets).

    Attributes:
        name: As typed.
        train: To score and train on; None where the user's function returned one loader.
        test: To measure on.
        classes: How many, where that is known.
    """

    name: str
    train: Iterable[Any] | None
    test: Iterable[Any]
    classes: int | None = None

    @property
    def training(self) -> Iterable[Any]:
        """The batches to train on.

        Raises:
            DataError: There is one loader only.
        """
        if self.train is None:
            raise DataError(
                f"--data {self.name} has no data to train on",
                why="its function returned one loader, which is kept to measure on",
                hint="let it return two: return train, test",
            )
        return self.train

    @property
    def example(self) -> Inputs:
        """The inputs of one test item."""
        inputs, _ = next(iter(checked(self.test, device=torch.device("cpu"))))
        return items_of(inputs, 1)


def items_of(inputs: Inputs, count: int) -> Inputs:
    """Return inputs of `count` items: those that are there, over again where they are too few.

    Example:
        >>> items_of((torch.tensor([1, 2]), torch.tensor([[3], [4]])), 3)
        (tensor([1, 2, 1]), tensor([[3], [4], [3]]))
    """
    items = next((tensor.shape[0] for tensor in tensors_in(inputs) if tensor.dim()), 1)
    index = torch.arange(count) % items

    def resized(tensor: torch.Tensor) -> torch.Tensor:
        has_items = tensor.dim() > 0 and tensor.shape[0] == items
        return tensor[index.to(tensor.device)] if has_items else tensor

    return map_tensors(resized, inputs)


def open_data(text: str, *, shape: Shape | None = None) -> Data:
    """Return the data that were asked for.

    Args:
        text: As typed: `digits`, `fashion-mnist`, `images:FOLDER` or `file.py:function`.
        shape: Of the model's inputs, where it was given; images are brought to its size.

    Raises:
        DataError: There are no such data.
        PruneError: A file, a function or a library is missing.
    """
    if user_file.is_function(text):
        return _of_user(text)
    kind, _, rest = text.partition(":")
    if kind not in _KINDS:
        raise unknown_name("data set", kind, [*_KINDS, "file.py:function"], DataError)
    return _KINDS[kind](text, rest, shape)


def _digits(text: str, _: str, __: Shape | None) -> Data:
    return _in_memory(text, digits())


def _fashion_mnist(text: str, folder: str, _: Shape | None) -> Data:
    return _in_memory(text, fashion_mnist(folder or None))


def _in_memory(text: str, dataset: Dataset) -> Data:
    return Data(
        name=text,
        train=Batches(dataset.train, batch_size=TRAIN_BATCH, shuffle=True),
        test=Batches(dataset.test, batch_size=TEST_BATCH),
        classes=len(dataset.classes),
    )


def _images(text: str, folder: str, shape: Shape | None) -> Data:
    size = (shape[-2], shape[-1]) if shape and len(shape) == 4 else _IMAGE_SIZE
    train, test, classes = libraries.image_folders(Path(folder), size=size, batch=TRAIN_BATCH)
    return Data(name=text, train=train, test=test, classes=classes)


_KINDS: Mapping[str, Callable[[str, str, Shape | None], Data]] = {
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
    "images": _images,
}


def _of_user(text: str) -> Data:
    """Call the user's function: a tuple of two is (train, test), all else one loader."""
    match user_file.call_function(text, "--data"):
        case (train, test) as pair if isinstance(pair, tuple):
            return Data(name=text, train=_loader(text, train), test=_loader(text, test))
        case loader:
            return Data(name=text, train=None, test=_loader(text, loader))


_NO_LOADERS = (Iterator, Mapping, str, torch.Tensor, torch.nn.Module)


def _loader(text: str, found: Any) -> Iterable[Any]:
    if isinstance(found, Iterable) and not isinstance(found, _NO_LOADERS):
        return found
    raise DataError(
        f"--data {text} returned no loader, but an object of type {type(found).__name__}",
        why="prunus reads the data again and again, in batches (inputs, targets)",
        hint="return a torch.utils.data.DataLoader, or two: return train, test",
    )
