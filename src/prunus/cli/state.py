"""Weights of a dense model in a file: a state dict, as safetensors or as PyTorch writes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor, nn

from prunus.cost.counted import stored_tensors
from prunus.errors import SaveError
from prunus.files import disk_errors
from prunus.save.weights import load_tensors, split_tied, write_tensors

SAFETENSORS = ".safetensors"


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill `model` with the tensors in a file. No code in it is run.

    Raises:
        SaveError: The file cannot be read, or does not hold the tensors of this model.
    """
    tensors = _state(path)
    aliases = split_tied(stored_tensors(model))[1]  # safetensors hold tied tensors once
    tensors |= {name: tensors[first] for name, first in aliases.items() if first in tensors}
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
    if wrong:
        raise SaveError(
            f"'{path}' holds the weights of another architecture",
            why=f"'{wrong[0]}' is {_of(found, wrong[0])} in the file and "
            f"{_of(expected, wrong[0])} in the model; {len(wrong)} tensors differ",
            hint="give the state dict of this model, or build the model that they belong to",
        )
    model.load_state_dict(tensors)


def check_writable(path: Path) -> None:
    """Raise a SaveError where `save_weights` cannot write, before the work begins."""
    if path.suffix != SAFETENSORS:
        raise SaveError(
            f"'{path}' is not written",
            why=f"weights are written as safetensors, and the name ends in '{path.suffix}'",
            hint=f"--weights {path.with_suffix(SAFETENSORS)}",
        )
    with disk_errors(f"'{path}' cannot be written"):
        path.parent.mkdir(parents=True, exist_ok=True)


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the tensors of `model` to a safetensors file, whole or not at all.

    Raises:
        SaveError: The disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    with disk_errors(f"'{path}' could not be written"):
        try:
            write_tensors(temporary, split_tied(stored_tensors(model))[0])
            Path(temporary).replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _state(path: Path) -> dict[str, Tensor]:
    with disk_errors(f"'{path}' could not be read"), path.open("rb"):
        pass
    content = load_tensors(path) if path.suffix == SAFETENSORS else _unpickled(path)
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if len(tensors) < len(content) or not content:
        others = ", ".join(str(name) for name in content if name not in tensors)
        raise SaveError(
            f"'{path}' is no state dict",
            why=f"what is not a tensor in it: {others}" if others else "it is empty",
            hint="torch.save(model.state_dict(), 'weights.pt')",
        )
    return tensors


def _unpickled(path: Path) -> Mapping[str, Any]:
    """Read what torch.save wrote; only tensors and plain containers of them are let in."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of any kind: it is what a broken file makes of a parser
        raise SaveError(
            f"'{path}' could not be read as weights",
            why="it is no state dict that torch.save wrote, or was cut short; nothing but tensors "
            "is read, as anything else could run code",
            hint="torch.save(model.state_dict(), 'weights.pt'), or a .safetensors file",
        ) from error
    if isinstance(content, Mapping):
        return content
    raise SaveError(
        f"'{path}' is no state dict",
        why=f"it holds a {type(content).__name__}",
        hint="torch.save(model.state_dict(), 'weights.pt')",
    )


def _of(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    return str(shapes[name]) if name in shapes else "absent"
