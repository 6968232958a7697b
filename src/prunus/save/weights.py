"""The tensors of a model in a safetensors file.

Written here and not by the safetensors library because a file must reach the disk before its
name is taken into use, its sha256 is made on the way, and a killed run must leave no file that
nobody knows. The bytes are those that the library writes; it reads them.
"""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from prunus.cost.counted import Memory, memory_of, stored_tensors
from prunus.errors import SaveError
from prunus.files import write_new
from prunus.save.sealed import altered

Signature: TypeAlias = tuple[str, tuple[int, ...]]
"""Type and shape of a tensor, ("float32", (2, 3))."""

DTYPES: Mapping[torch.dtype, str] = {
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.float32: "F32",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""What safetensors calls each type; widest first, as in a file, so that all values are aligned."""

_RANK = {dtype: rank for rank, dtype in enumerate(DTYPES)}


def split_tied(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors under their first name, and for each other name the first one."""
    first: dict[Memory, str] = {}
    aliases = {}
    for name, tensor in tensors.items():
        if first.setdefault(memory_of(tensor), name) != name:
            aliases[name] = first[memory_of(tensor)]
    return {name: tensor for name, tensor in tensors.items() if name not in aliases}, aliases


def check_storable(model: nn.Module) -> None:
    """Raise a SaveError if a file of tensors cannot hold all that makes up `model`."""
    for name, module in model.named_modules():
        if type(module).get_extra_state is not nn.Module.get_extra_state:
            raise SaveError(
                f"module '{name}' ({type(module).__name__}) has extra state",
                why="it can be any object, and prunus writes tensors only, no pickle",
                hint="keep that state in a buffer",
            )
    for name, tensor in stored_tensors(model).items():
        if tensor.is_meta or tensor.layout != torch.strided or tensor.dtype not in DTYPES:
            raise SaveError(
                f"'{name}' cannot be stored: it is {tensor.dtype}, {tensor.layout}, "
                f"on {tensor.device}",
                why="safetensors holds dense tensors of the common types, with their values",
                hint="convert it, or build the model on a real device",
            )


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> tuple[int, str]:
    """Write a new safetensors file and wait until the disk has it.

    One tensor at a time is copied to the CPU. Tensors that look into one storage are written
    apart.

    Returns:
        Its size in bytes, and its sha256.
    """
    size, digest = 0, sha256()

    def chunks() -> Iterator[bytes | memoryview]:
        nonlocal size
        for chunk in _serialised(tensors):
            size += len(chunk)
            digest.update(chunk)
            yield chunk

    write_new(path, chunks())
    return size, digest.hexdigest()


def _serialised(tensors: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    """Length of the header, the header, and each tensor's bytes."""
    names = sorted(tensors, key=lambda name: (_RANK[tensors[name].dtype], name))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in names:
        tensor, start = tensors[name], end
        end = start + tensor.nbytes
        header[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little")
    yield text
    for name in names:
        flat = tensors[name].detach().cpu().contiguous().flatten()
        yield flat.view(torch.uint8).numpy().data


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a safetensors file.

    Raises:
        SaveError: If the file cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise altered(f"'{path}' is no whole safetensors file: {error}") from error


def read_tensors(
    path: Path, expected: Mapping[str, tuple[str, tuple[int, ...]]]
) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Args:
        path: Of the file.
        expected: Per tensor its type, such as "float32", and its shape.

    Raises:
        SaveError: If the file cannot be read, or holds other tensors than expected.
    """
    tensors = load_tensors(path)
    found = {name: signature(tensor) for name, tensor in tensors.items()}
    wrong = sorted(
        name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)
    )
    if wrong:
        raise altered(f"'{path}' and its manifest disagree about '{wrong[0]}'")
    return tensors


def signature(tensor: Tensor) -> Signature:
    """Return the type and shape of a tensor as a manifest writes them.

    Example:
        >>> signature(torch.zeros(2, 3))
        ('float32', (2, 3))
    """
    return str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)
