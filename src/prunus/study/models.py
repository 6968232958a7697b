"""The models of a study on the disk: the smaller ones are kept, all are weighed."""

import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from prunus.api import Pruned
from prunus.records import Plan, Report
from prunus.save import write
from prunus.study.results import on_disk
from prunus.study.setting import Job

MODELS = "models"


def keep(
    pruned: Pruned, *, job: Job, folder: Path, comparison: Mapping[str, Any]
) -> tuple[str | None, int]:
    """Save a model, where its tensors are smaller than the dense ones.

    Returns:
        Where it is below `folder`, None where it is not kept; and the bytes of its files.

    Raises:
        StudyError: The disk refuses.
    """
    extra = {"strategy": job.strategy.name, "seed": job.seed, "comparison": comparison}
    if not pruned.plan.tensors:
        return None, weigh(pruned.model, pruned.plan, folder=folder, report=pruned.report)
    name = "-".join(re.sub(r"[^\w.=]+", "_", str(part)) for part in job.key)
    with on_disk(f"the model of {job} could not be written"):
        write(
            folder / MODELS / name,
            model=pruned.model,
            plan=pruned.plan,
            report=pruned.report,
            extra=extra,
        )
    return f"{MODELS}/{name}", _size(folder / MODELS / name)


def weigh(model: nn.Module, plan: Plan, *, folder: Path, report: Report | None = None) -> int:
    """Return the bytes of the files of a model, which are written below `folder` and removed."""
    with on_disk(f"'{folder}' could not be written"):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".") as temporary:
            write(temporary, model=model, plan=plan, report=report)
            return _size(Path(temporary))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
