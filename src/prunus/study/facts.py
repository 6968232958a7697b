"""What all runs of a study share, and the hash by which a study knows that it may go on."""

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import nn

from prunus.cost import count
from prunus.cost.counted import stored_tensors
from prunus.study.models import weigh_dense
from prunus.study.records import Facts
from prunus.study.setting import Job, Setting
from prunus.versions import versions


def facts_of(setting: Setting, jobs: Sequence[Job], title: str) -> Facts:
    """Measure the dense model, and write down how the study was asked for.

    Raises:
        StudyError: The disk refuses.
    """
    facts = Facts(
        title=title,
        dense=_dense(setting, jobs[0]),
        recovery=asdict(setting.recipe),
        margin=setting.margin,
        items=len(setting.dense_N),
        batch=setting.latency_batch,
        threads=torch.get_num_threads(),
        seeds=tuple(dict.fromkeys(job.seed for job in jobs)),
        versions={**versions(), "processor": platform.machine()},
        fingerprint="",
        settings=_settings(setting, jobs),
        epochs=setting.epochs,
    )
    return replace(facts, fingerprint=_fingerprint(setting, facts))


def _dense(setting: Setting, job: Job) -> dict[str, Any]:
    cost = count(setting.dense, macs=setting.untimed(job).costs.macs({}))
    return {
        "params": cost.params,
        "nonzero": cost.nonzero,
        "macs": cost.macs,
        "bytes": cost.bytes,
        "file_bytes": weigh_dense(setting.dense, folder=setting.folder),
        "accuracy": setting.dense_N.double().mean().item(),
    }


def _settings(setting: Setting, jobs: Sequence[Job]) -> dict[str, Any]:
    budgets: dict[str, dict[str, None]] = {}
    for granularity, _, budget, _ in (job.key for job in jobs):
        budgets.setdefault(granularity, {})[budget] = None
    loss = setting.loss
    return {
        "strategies": {f"{job.key[0]} {job.key[1]}": repr(job.strategy) for job in jobs},
        "budgets": {granularity: tuple(these) for granularity, these in budgets.items()},
        "metric": setting.metric_name,
        "loss": repr(loss) if isinstance(loss, nn.Module) else _name(loss),
        "batches": setting.batches,
        "include": None if setting.include is None else tuple(setting.include),
        "exclude": tuple(setting.exclude),
    }


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _fingerprint(setting: Setting, facts: Facts) -> str:
    """Hash what decides what a run measures. Neither the title nor Python's version does."""
    digest = hashlib.sha256()
    for name, tensor in sorted(stored_tensors(setting.dense).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    digest.update(_bytes(setting.dense_N))
    shared = asdict(replace(facts, title="", dense={}))
    shared["versions"].pop("python")
    digest.update(json.dumps(shared, sort_keys=True).encode())
    return digest.hexdigest()


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
