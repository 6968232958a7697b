"""A pruned model in a folder: write it, read it back into a freshly built dense model.

    small/
      manifest.json        what was kept, what it cost, how it was made, and the sha256 of
      model.safetensors    the tensors of the small model

A write that replaces an older model never leaves neither:

1. the new weights go beside the old ones, as model.safetensors.new;
2. the new manifest replaces the old one, in one step of the file system: from here on the
   folder holds the new model;
3. the new weights take the name of the old ones.

The manifest tells by size and sha256 which file is its own, so a run killed between any two of
these leaves a folder that reads as the old or as the new model, and the next write tidies up.
One process at a time may write to a folder. Other files in it are left alone.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prunus.cost.counted import stored_tensors
from prunus.errors import SaveError, check_kind
from prunus.files import atomic_write, disk_errors, read_limited, sync_folder
from prunus.records import Plan, Report
from prunus.save.architecture import check_architecture, check_cut
from prunus.save.manifest import (
    Manifest,
    manifest_from_json,
    manifest_to_json,
    rows_of,
)
from prunus.save.sealed import LIMIT, altered, plain, seal, unseal
from prunus.save.weights import check_storable, read_tensors, split_tied, write_tensors
from prunus.shrink import shrink
from prunus.versions import versions

FORMAT, VERSION = "prunus model", 1
MANIFEST, WEIGHTS, NEW_WEIGHTS = "manifest.json", "model.safetensors", "model.safetensors.new"


def write(
    folder: str | Path,
    *,
    model: nn.Module,
    plan: Plan,
    report: Report | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a pruned model to a folder, or replace the one that is there.

    Args:
        folder: Made if it is not there. May hold a model that prunus wrote, or nothing.
        model: The model as `plan` left it. It is only read.
        plan: What was kept.
        report: What was measured; kept for people and tools.
        extra: More to keep beside it, such as a verdict about accuracy; plain JSON.

    Raises:
        SaveError: If the folder holds something else, the model is not what the plan describes
            or has no plain form, or the disk refuses. The folder holds the old model, whole, or
            the new one if only the last step failed.

    Cost:
        One read of all tensors; one tensor more in memory. Needs room for old and new at once.

    Example:
        >>> import tempfile
        >>> layer = nn.Linear(4, 3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(folder, model=layer, plan=Plan("weight", {}, {}))
        ...     print(sorted(path.name for path in Path(folder).iterdir()))
        ...     torch.equal(read(folder, model=nn.Linear(4, 3)).weight, layer.weight)
        ['manifest.json', 'model.safetensors']
        True
    """
    folder = _named(folder)
    check_storable(model)
    check_cut(model, plan)
    tensors, aliases = split_tied(stored_tensors(model))
    manifest = Manifest(
        plan=plan,
        tensors=rows_of(plan, tensors),
        aliases=aliases,
        size=0,
        sha256="",
        made_with=versions(),
        report=plain(report),
        extra=plain(extra or {}),
    )
    _sealed(manifest)  # what cannot be written as JSON is found now, not behind the weights
    with disk_errors(f"'{folder}' could not be written"):
        _check_free(folder)
    with disk_errors(f"'{folder}' could not be written; what was there before is intact"):
        folder.mkdir(parents=True, exist_ok=True)
        _tidy(folder)
        try:
            size, digest = write_tensors(folder / NEW_WEIGHTS, tensors)
            atomic_write(folder / MANIFEST, _sealed(replace(manifest, size=size, sha256=digest)))
        except (OSError, SaveError):
            _tidy(folder)
            raise
    with disk_errors(f"'{folder}' holds the new model, but not yet under its own name"):
        (folder / NEW_WEIGHTS).replace(folder / WEIGHTS)
        sync_folder(folder)
        sync_folder(folder.parent)


def read(folder: str | Path, *, model: nn.Module) -> nn.Module:
    """Cut a freshly built dense model as the one in `folder` was cut, and fill in its numbers.

    Args:
        folder: What `write` wrote.
        model: The dense architecture, built by the same code; its weights do not matter. It is
            changed, and returned.

    Raises:
        SaveError: If the folder is missing, altered, newer or unreadable, or was cut from another
            architecture. All is checked before the model is touched.
        PlanError: If the model cannot be cut by the plan.

    Cost:
        Two reads of the file; the tensors of the small model once more in memory.
    """
    folder = _named(folder)
    hint = "prunus.load(folder, model=build()): the dense model, freshly built"
    check_kind("model", model, nn.Module, SaveError, hint=hint, required=True)
    manifest = read_manifest(folder)
    check_architecture(model, manifest, folder)
    path = _weights_of(folder, manifest)
    rows = manifest.tensors.items()
    tensors = read_tensors(path, {name: (row.dtype, row.shape) for name, row in rows})
    model = shrink(model, manifest.plan, in_place=True)
    _fill(model, tensors, manifest.aliases)
    return model


def read_manifest(folder: str | Path) -> Manifest:
    """Return what a saved folder says about itself, without its weights.

    Raises:
        SaveError: If there is none, or it was altered or written by a newer prunus.
    """
    path = _named(folder) / MANIFEST
    with disk_errors(f"'{folder}' could not be read"):
        if not path.is_file():
            raise SaveError(
                f"'{folder}' holds no saved model",
                why=_why_no_manifest(path),
                hint="give the folder that prunus.save wrote",
            )
    text = read_limited(path, limit=LIMIT)
    return manifest_from_json(unseal(text, format=FORMAT, version=VERSION, path=path))


def _named(folder: Any) -> Path:
    """Return the path of a folder. Raises SaveError where `folder` names none."""
    hint = 'name a folder, such as "small"'
    check_kind("folder", folder, (str, os.PathLike), SaveError, hint=hint, required=True)
    name = os.fspath(folder)
    if not name:
        why = "empty, it would mean the folder that the program runs in"
        raise SaveError("the name of the folder is empty", why=why, hint=f'{hint}, or "."')
    if "\0" in name:
        why = "no file system has names with a NUL in them"
        raise SaveError(f"{name!r} cannot be the name of a folder", why=why, hint=hint)
    return Path(name)


def _why_no_manifest(path: Path) -> str:
    if not os.path.lexists(path.parent):
        return "there is no such folder"
    if not path.parent.is_dir():
        return "it is a file, and no folder"
    if not os.path.lexists(path):
        return f"there is no {MANIFEST} in it"
    return f"its {MANIFEST} is {'a folder' if path.is_dir() else 'no regular file'}"


def _sealed(manifest: Manifest) -> str:
    return seal(manifest_to_json(manifest), format=FORMAT, version=VERSION)


def _check_free(folder: Path) -> None:
    """Raise a SaveError unless `folder` is absent, empty, or holds a model that prunus wrote."""
    if (folder / MANIFEST).is_file():
        read_manifest(folder)
        return
    if os.path.lexists(folder / MANIFEST):
        why = _why_no_manifest(folder / MANIFEST)
    elif folder.is_dir():
        entries = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        strange = sorted(set(entries) - {NEW_WEIGHTS})
        why = f"it has no {MANIFEST}, but '{strange[0]}'" if strange else ""
    else:
        why = "it is a file" if os.path.lexists(folder) else ""
    if why:
        raise SaveError(
            f"'{folder}' is not overwritten: prunus did not write it",
            why=why,
            hint="choose a folder that is new or empty",
        )


def _tidy(folder: Path) -> None:
    """Bring a folder that a write left halfway to its new state if that is whole, else the old."""
    new = folder / NEW_WEIGHTS
    if not os.path.lexists(new):
        return
    committed = (folder / MANIFEST).is_file() and _mismatch(new, read_manifest(folder)) is None
    if committed:
        Path(new).replace(folder / WEIGHTS)
    else:
        new.unlink()


def _weights_of(folder: Path, manifest: Manifest) -> Path:
    """Return the file of weights that the manifest is about."""
    for path in (folder / WEIGHTS, folder / NEW_WEIGHTS):
        if _mismatch(path, manifest) is None:
            return path
    if not (folder / WEIGHTS).is_file():
        raise SaveError(
            f"'{folder / WEIGHTS}' {_mismatch(folder / WEIGHTS, manifest)}",
            why=f"{MANIFEST} is there, and the file of weights that it describes is not",
            hint=f"copy {WEIGHTS} beside it, or save the model again",
        )
    raise altered(f"'{folder / WEIGHTS}' {_mismatch(folder / WEIGHTS, manifest)}")


def _mismatch(path: Path, manifest: Manifest) -> str | None:
    """Return how a file differs from the one that the manifest is about; None if it does not."""
    with disk_errors(f"'{path}' could not be read"):
        if not path.is_file():
            return "is missing"
        if (size := path.stat().st_size) != manifest.size:
            return f"has {size} bytes instead of {manifest.size}"
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return None if digest == manifest.sha256 else "has another sha256 than its manifest says"


def _fill(model: nn.Module, tensors: Mapping[str, Tensor], aliases: Mapping[str, str]) -> None:
    targets = stored_tensors(model)
    for name, target in targets.items():
        tensor = tensors[aliases.get(name, name)]
        if target.shape != tensor.shape:
            raise SaveError(
                f"'{name}' was cut to {tuple(target.shape)}, the file holds {tuple(tensor.shape)}",
                why="this version of prunus cuts the plan in another way",
                hint="read it with the version in the manifest, and report this",
            )
        with torch.no_grad():
            target.copy_(tensor)
