"""Models and data of other libraries. Each is imported when it is asked for, and may be missing."""

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from prunus.cli.asked import Asked, Built
from prunus.errors import DataError, PruneError

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as its models expect
_PARTS = (("train",), ("test", "val", "valid"))


# -- models -------------------------------------------------------------------------------------


def torchvision_network(asked: Asked) -> Built:
    """Return a network of torchvision."""
    models = _library("torchvision", f"torchvision:{asked.name}").models
    if asked.name not in models.list_models():
        raise _unknown("torchvision", asked.name, models.list_models())
    weights = models.get_model_weights(asked.name).DEFAULT
    size = getattr(weights.transforms, "keywords", {}).get("crop_size")
    with _fetching(f"torchvision:{asked.name}"):
        model = models.get_model(asked.name, weights=weights if asked.trained else None)
    return model, asked.inputs((1, 3, size, size) if size else None)


def timm_network(asked: Asked) -> Built:
    """Return a network of timm."""
    timm = _library("timm", f"timm:{asked.name}")
    if not timm.is_model(asked.name):
        raise _unknown("timm", asked.name, timm.list_models())
    with _fetching(f"timm:{asked.name}"):
        model = timm.create_model(asked.name, pretrained=asked.trained)
    return model, asked.inputs((1, *model.default_cfg["input_size"]))


def transformers_model(asked: Asked) -> Built:
    """Return a model of transformers from a folder, or from the Hugging Face hub.

    Only weights in safetensors are read, and no code that comes with them is run.
    """
    transformers = _library("transformers", f"hf:{asked.name}")
    with _fetching(f"hf:{asked.name}"):
        config = transformers.AutoConfig.from_pretrained(asked.name, trust_remote_code=False)
    architecture = next(iter(config.architectures or ()), "")
    kind = getattr(transformers, architecture, None)
    if kind is None:
        raise PruneError(
            f"hf:{asked.name} names no architecture of transformers",
            why=f"its config says '{architecture}'",
            hint="build it in a function of yours: file.py:function",
        )
    if hasattr(config, "use_cache"):
        config.use_cache = False  # keys and values that are outputs could not be pruned
    with _fetching(f"hf:{asked.name}"):
        if asked.trained:
            model = kind.from_pretrained(asked.name, config=config, use_safetensors=True)
        else:
            model = kind(config)
    return model, _inputs_of(model, asked)


def _inputs_of(model: Any, asked: Asked) -> Any:
    """Return token numbers for a model of text, else what `asked` says."""
    config = model.config
    if asked.example is not None and asked.shape is None:
        return asked.example
    if model.main_input_name == "input_ids":
        return {"input_ids": torch.randint(config.vocab_size, asked.shape or (1, 16))}
    size = getattr(config, "image_size", None)
    return asked.inputs((1, config.num_channels, size, size) if isinstance(size, int) else None)


# -- data ---------------------------------------------------------------------------------------


def image_folders(
    folder: Path, *, size: tuple[int, int], batch: int
) -> tuple[Iterable[Any], Iterable[Any], int]:
    """Return batches to train on, batches to test on, and the number of classes.

    Args:
        folder: With "train" and "test" (or "val") in it, and in each of these a folder per class.
        size: Height and width that images are brought to.
        batch: Items of a batch.

    Raises:
        DataError: A folder is missing or holds no image, or the classes differ.
        PruneError: torchvision is not installed.
    """
    torchvision = _library("torchvision", f"images:{folder}")
    transforms = torchvision.transforms
    prepare = transforms.Compose([
        transforms.Resize(size),
        transforms.ToTensor(),
        transforms.Normalize(_MEAN, _STD),
    ])
    train, test = (_images(torchvision, _part(folder, names), prepare) for names in _PARTS)
    if train.classes != test.classes:
        raise DataError(
            f"the classes of '{train.root}' and '{test.root}' differ",
            why=f"labels are the places of folders by name: {train.classes} and {test.classes}",
            hint="make the same folders in both",
        )
    order = torch.Generator().manual_seed(0)
    return (
        DataLoader(train, batch_size=batch, shuffle=True, generator=order),
        DataLoader(test, batch_size=batch),
        len(train.classes),
    )


def _part(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise DataError(
        f"there is no folder '{folder / names[0]}'",
        why="images:FOLDER needs train and test (or val) in it, and in each a folder per class",
        hint="make these folders, or load them your way: --data file.py:function",
    )


def _images(torchvision: Any, folder: Path, prepare: Any) -> Any:
    try:
        return torchvision.datasets.ImageFolder(folder, transform=prepare)
    except FileNotFoundError as error:
        raise DataError(
            f"'{folder}' holds no images by class",
            why=str(error),
            hint="make a folder per class in it, with images in each",
        ) from error


# -- both ---------------------------------------------------------------------------------------


def _unknown(library: str, name: str, known: list[str]) -> PruneError:
    near = get_close_matches(name, known, n=3)
    return PruneError(
        f"{library} has no network '{name}'",
        hint=f"did you mean {' or '.join(near)}?" if near else f"{library}'s own pages list them",
    )


def _library(name: str, text: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PruneError(
            f"{text} needs {name}, which is not installed", hint=f"pip install {name}"
        ) from error


@contextmanager
def _fetching(text: str) -> Iterator[None]:
    """Say in short what a library says at length, when it can neither find nor fetch a file."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise PruneError(
            f"{text} could not be found or fetched",
            why=next(iter(str(error).splitlines()), type(error).__name__),
            hint="check the name and the network, or build it: file.py:function",
        ) from error
