"""The smaller models of a study on the disk."""

import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from prunus.api import Pruned
from prunus.records import Plan
from prunus.save import write
from prunus.save.files import WEIGHTS
from prunus.study.results import on_disk
from prunus.study.setting import Job

MODELS = "models"


def keep(pruned: Pruned, *, job: Job, folder: Path, comparison: Mapping[str, Any]) -> str:
    """Save a model and return where it is, below `folder`.

    Raises:
        StudyError: The disk refuses.
    """
    name = "-".join(re.sub(r"[^\w.=]+", "_", str(part)) for part in job.key)
    extra = {"strategy": job.strategy.name, "seed": job.seed, "comparison": comparison}
    with on_disk(f"the model of {job} could not be written"):
        write(
            folder / MODELS / name,
            model=pruned.model,
            plan=pruned.plan,
            report=pruned.report,
            extra=extra,
        )
    return f"{MODELS}/{name}"


def weigh(folder: Path) -> int:
    """Return the bytes of the file of weights of a saved model."""
    return (folder / WEIGHTS).stat().st_size


def weigh_dense(model: nn.Module, *, folder: Path) -> int:
    """Return what `weigh` gives for `model`, which is written below `folder` and removed.

    Raises:
        StudyError: The disk refuses.
    """
    with on_disk(f"'{folder}' could not be written"):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".") as temporary:
            write(temporary, model=model, plan=Plan("channel", {}, {}))
            return weigh(Path(temporary))
