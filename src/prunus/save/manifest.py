"""What a saved folder says about itself: manifest.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from prunus.extents import size_kept
from prunus.records import Plan
from prunus.save.plans import plan_from_json, plan_to_json
from prunus.save.sealed import altered, plain, take
from prunus.save.weights import signature

Shape = tuple[int, ...]


@dataclass(frozen=True)
class TensorRow:
    """One stored tensor.

    Attributes:
        dtype: Its element type, "float32".
        shape: Its sizes in the file.
        dense_shape: Its sizes in the dense model.
    """

    dtype: str
    shape: Shape
    dense_shape: Shape


@dataclass(frozen=True)
class Manifest:
    """All of a saved folder but the numbers.

    Attributes:
        plan: What was kept; its provenance has the budget, the criterion and the seed.
        tensors: What the file of weights holds, by name.
        aliases: Other name -> name in `tensors`, for tied tensors.
        size: Of the file of weights, in bytes.
        sha256: Of the file of weights.
        made_with: Versions of prunus, torch and Python.
        report: The report as plain JSON: costs before and after, groups, the check; or None.
        extra: What the caller added, such as a verdict about accuracy.
    """

    plan: Plan
    tensors: Mapping[str, TensorRow]
    aliases: Mapping[str, str]
    size: int
    sha256: str
    made_with: Mapping[str, Any]
    report: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def rows_of(plan: Plan, tensors: Mapping[str, Tensor]) -> dict[str, TensorRow]:
    """Describe the tensors of a model that was cut by `plan`."""
    shapes = shapes_of(plan)
    rows = {}
    for name, tensor in tensors.items():
        dtype, shape = signature(tensor)
        dense, _ = shapes.get(name, (shape, shape))
        rows[name] = TensorRow(dtype, shape, dense)
    return rows


def shapes_of(plan: Plan) -> dict[str, tuple[Shape, Shape]]:
    """Return, for each tensor that `plan` describes, its dense shape and its shape when cut."""
    return {
        name: (
            tuple(extent.size for extent in extents),
            tuple(size_kept(extent, plan.counts) for extent in extents),
        )
        for name, extents in plan.tensors.items()
    }


def manifest_to_json(manifest: Manifest) -> dict[str, Any]:
    """Return `manifest` as plain JSON."""
    return {
        "made_with": dict(manifest.made_with),
        "weights": {"size": manifest.size, "sha256": manifest.sha256},
        "plan": plan_to_json(manifest.plan),
        "tensors": plain(manifest.tensors),
        "aliases": dict(manifest.aliases),
        "report": plain(manifest.report),
        "extra": plain(manifest.extra),
    }


def manifest_from_json(data: Any) -> Manifest:
    """Return the manifest that `manifest_to_json` wrote.

    Raises:
        SaveError: If a field is missing or of another type, or fields contradict each other.
    """
    weights = take(data, "weights", dict)
    report = data.get("report")
    manifest = Manifest(
        plan=plan_from_json(data.get("plan")),
        tensors={name: _row(row) for name, row in take(data, "tensors", dict).items()},
        aliases=take(data, "aliases", dict),
        size=take(weights, "size", int),
        sha256=take(weights, "sha256", str),
        made_with=take(data, "made_with", dict),
        report=None if report is None else take(data, "report", dict),
        extra=take(data, "extra", dict),
    )
    for name, first in manifest.aliases.items():
        if first not in manifest.tensors or name in manifest.tensors:
            raise altered(f"'{name}' is tied to '{first}', which is not in the file")
    shapes = shapes_of(manifest.plan)
    for name, row in manifest.tensors.items():
        if (row.dense_shape, row.shape) != shapes.get(name, (row.dense_shape, row.dense_shape)):
            raise altered(f"the shape of '{name}' is not what the plan makes of it")
    return manifest


def _row(data: Any) -> TensorRow:
    dtype = take(data, "dtype", str)
    return TensorRow(dtype, _shape(data, "shape"), _shape(data, "dense_shape"))


def _shape(data: Any, key: str) -> Shape:
    sizes = take(data, key, list)
    if any(type(size) is not int or size < 0 for size in sizes):
        raise altered(f"'{key}' is no shape: {sizes}")
    return tuple(sizes)
