"""A saved folder, with the dense model that it was cut from."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from prunus.cli.asked import Shape
from prunus.cli.datasets import Data
from prunus.cli.sources import RECORDED, Source, open_model
from prunus.errors import SaveError
from prunus.save import Manifest, read, read_manifest
from prunus.save.files import MANIFEST
from prunus.trace.restore import copy_of


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What a folder holds, and what it was cut from.

    Attributes:
        folder: As typed.
        model: The small model.
        dense: The dense one, and its example inputs.
        manifest: All of the folder but the numbers.
    """

    folder: Path
    model: nn.Module
    dense: Source
    manifest: Manifest


def open_source(
    text: str,
    *,
    dense: str | None = None,
    weights: Path | None = None,
    shape: Shape | None = None,
    data: Data | None = None,
    trained: bool = True,
) -> Source:
    """Return the model that was asked for, which may be a saved one.

    Args are those of `open_model`; `dense` is what a saved folder was cut from.
    """
    if not Path(text).is_dir():
        return open_model(text, weights=weights, shape=shape, data=data, trained=trained)
    if weights is not None:
        raise SaveError(f"'{text}' has weights of its own", hint="leave --weights out")
    saved = open_saved(Path(text), dense=dense, shape=shape, data=data)
    return Source(text=text, model=saved.model, inputs=saved.dense.inputs)


def open_saved(
    folder: Path,
    *,
    dense: str | None = None,
    weights: Path | None = None,
    shape: Shape | None = None,
    data: Data | None = None,
    trained: bool = False,
) -> Saved:
    """Build the dense model, and cut and fill a copy of it as the folder says.

    Args:
        folder: What `prunus prune --out` wrote.
        dense: The dense model; what the folder says where None.
        weights: Of the dense model.
        shape: Of the example inputs; what the folder says where None.
        data: See `open_model`.
        trained: Whether the dense weights matter, or only the architecture.

    Raises:
        SaveError: The folder is missing or altered, or does not say what it was cut from.
        PruneError: The dense model cannot be built.
    """
    manifest = read_manifest(folder)
    record = manifest.extra.get("source") or {}
    if dense is None:
        dense = _recorded(folder, record)
        if trained and weights is None and record.get("weights"):
            raise SaveError(
                f"the weights of the dense model are needed, which '{folder}' does not hold",
                why=f"it was cut from {dense} with the weights in '{record['weights']}'",
                hint=f"--weights {record['weights']}",
            )
    shape = shape or tuple(record.get("input") or ()) or None
    source = open_source(dense, weights=weights, shape=shape, data=data, trained=trained)
    model = read(folder, model=copy_of(source.model))
    return Saved(folder=folder, model=model, dense=source, manifest=manifest)


def _recorded(folder: Path, record: Mapping[str, Any]) -> str:
    """Return the model that a folder says it was cut from, if that runs no code of its choosing."""
    text = str(record.get("model", ""))
    another = text and Path(text).is_dir() and Path(text).resolve() != folder.resolve()
    if another or text.partition(":")[0] in RECORDED:
        return text
    raise SaveError(
        f"it takes the dense model to read '{folder}'",
        why=f"it was cut from {text}, and what a folder names is not run unasked"
        if text
        else "the folder does not say what it was cut from",
        hint=f"--dense {text or 'file.py:function'}",
    )


def check_target(folder: Path) -> None:
    """Raise a SaveError where a model cannot be saved to `folder`, before the work begins."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    strange = sorted(name for name in names if not name.startswith("."))
    if strange and MANIFEST not in names:
        raise SaveError(
            f"'{folder}' is not overwritten: prunus did not write it",
            why=f"it has no {MANIFEST}, but '{strange[0]}'",
            hint="choose a folder that is new or empty",
        )
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise SaveError(
            f"'{folder}' cannot be written to",
            why=f"'{existing}' is " + ("read-only" if existing.is_dir() else "a file"),
            hint="choose another folder",
        )
