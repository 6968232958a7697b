"""A plan as JSON, complete: loading it gives back the plan, masks of single weights included.

Which units stay is written as ranges where a group has few units, "0-3,5,8-13", and else as one
bit a unit, packed, deflated (zlib) and in base64: at 90 % sparsity about half a bit a weight.
"""

import base64
import re
import zlib
from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prunus.extents import Extent, from_json, leaves, to_json
from prunus.files import atomic_write, read_limited
from prunus.links import Fold, Line
from prunus.records import Correction, Kept, Plan, SizeAttribute
from prunus.save.sealed import LIMIT, altered, plain, seal, take, unseal

FORMAT, VERSION = "prunus plan", 1
_MOST_UNITS_IN_RANGES = 4096
_RANGES = re.compile(r"(\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*)?", re.ASCII)


def save_plan(plan: Plan, path: str | Path) -> None:
    """Write a plan to a file, atomically.

    Raises:
        SaveError: If the disk refuses, or the provenance has no JSON form.

    Example:
        >>> plan = Plan("channel", {"conv1": Kept.of(torch.tensor([True, False, True]))}, {})
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_plan(plan, f"{folder}/plan.json")
        ...     load_plan(f"{folder}/plan.json").counts
        {'conv1': 2}
    """
    atomic_write(path, seal({"plan": plan_to_json(plan)}, format=FORMAT, version=VERSION))


def load_plan(path: str | Path) -> Plan:
    """Return the plan that `save_plan` wrote.

    Raises:
        SaveError: If the file is missing, altered, newer, or something else.

    Example:
        >>> import tempfile
        >>> plan = Plan("channel", {}, {}, provenance={"seed": 0})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_plan(plan, f"{folder}/plan.json")
        ...     load_plan(f"{folder}/plan.json").provenance
        {'seed': 0}
    """
    text = read_limited(path, limit=LIMIT)
    return plan_from_json(unseal(text, format=FORMAT, version=VERSION, path=path).get("plan"))


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return `plan` as plain JSON.

    Example:
        >>> kept = {"conv1": Kept.of(torch.tensor([True, True, True, False, False, True]))}
        >>> plan_to_json(Plan("channel", kept, {}))["kept"]
        {'conv1': {'size': 6, 'kept': '0-2,5'}}
    """
    return {
        "granularity": plan.granularity,
        "kept": {name: _kept_to_json(kept) for name, kept in plan.kept.items()},
        "tensors": {
            name: [to_json(extent) for extent in extents] for name, extents in plan.tensors.items()
        },
        "attributes": [
            {
                "module": attribute.module,
                "attribute": attribute.attribute,
                "extent": to_json(attribute.extent),
            }
            for attribute in plan.attributes
        ],
        "provenance": dict(plan.provenance),
        "corrections": [
            {
                "tensor": correction.tensor,
                "extent": to_json(correction.extent),
                "exponent": correction.exponent,
            }
            for correction in plan.corrections
        ],
        "stacks": {group: list(names) for group, names in plan.stacks.items()},
        "lines": [plain(line) for line in plan.lines],
        "folds": [plain(fold) for fold in plan.folds],
    }


def plan_from_json(data: Any) -> Plan:
    """Return the plan that `plan_to_json` wrote.

    Raises:
        SaveError: If a field is missing or of another type, or sizes contradict each other.
    """
    plan = Plan(
        granularity=take(data, "granularity", str),
        kept={name: _kept_from_json(kept) for name, kept in take(data, "kept", dict).items()},
        tensors={
            name: tuple(_extent(extent) for extent in _list(extents, f"tensors.{name}"))
            for name, extents in take(data, "tensors", dict).items()
        },
        attributes=tuple(_attribute(item) for item in take(data, "attributes", list)),
        provenance=take(data, "provenance", dict),
        corrections=tuple(_correction(item) for item in take(data, "corrections", list)),
        stacks={name: _names(names) for name, names in take(data, "stacks", dict).items()},
        lines=tuple(_line(item) for item in take(data, "lines", list)),
        folds=tuple(_fold(item) for item in take(data, "folds", list)),
    )
    for group, names in plan.stacks.items():
        if group not in plan.kept or len(names) != plan.kept[group].size:
            raise altered(f"'{group}' has {len(names)} blocks, and another number of units")
    extents = [extent for dims in plan.tensors.values() for extent in dims]
    extents += [attribute.extent for attribute in plan.attributes]
    extents += [correction.extent for correction in plan.corrections]
    _check_sizes(extents, {name: kept.size for name, kept in plan.kept.items()})
    return plan


def _kept_to_json(kept: Kept) -> dict[str, Any]:
    if kept.size <= _MOST_UNITS_IN_RANGES:
        return {"size": kept.size, "kept": to_ranges(kept.mask())}
    bits = base64.b64encode(zlib.compress(kept.bits.numpy().tobytes())).decode()
    return {"size": kept.size, "bits": bits}


def _kept_from_json(data: Any) -> Kept:
    size = take(data, "size", int)
    if size < 1:
        raise altered(f"a group has {size} units")
    if size <= _MOST_UNITS_IN_RANGES:
        return Kept.of(from_ranges(take(data, "kept", str), size=size))
    text, num_bytes = take(data, "bits", str), (size + 7) // 8
    inflater = zlib.decompressobj()
    try:
        bits = inflater.decompress(base64.b64decode(text, validate=True), num_bytes + 1)
    except (ValueError, zlib.error) as error:
        raise altered(f"the bits of a group cannot be read: {error}") from error
    if len(bits) != num_bytes or not inflater.eof:
        raise altered(f"the bits of a group of {size} units are not {num_bytes} bytes")
    kept = Kept(size, torch.frombuffer(bytearray(bits), dtype=torch.uint8))
    return Kept.of(kept.mask())  # bits behind the last unit are zero whatever the file says


def to_ranges(mask_U: Tensor) -> str:
    """Return where a bool tensor (U,) is True, as text.

    Example:
        >>> to_ranges(torch.tensor([True, True, False, True]))
        '0-1,3'
    """
    edges = torch.nn.functional.pad(mask_U.to(torch.int8), (1, 1)).diff()
    starts, ends = (edges == 1).nonzero().flatten(), (edges == -1).nonzero().flatten()
    runs = zip(starts.tolist(), (ends - 1).tolist(), strict=True)
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def from_ranges(text: str, *, size: int) -> Tensor:
    """Return the bool tensor (size,) that `to_ranges` wrote.

    Raises:
        SaveError: If the text is not ascending ranges below `size`.
    """
    mask_U = torch.zeros(size, dtype=torch.bool)
    end = 0
    if not _RANGES.fullmatch(text):
        raise altered(f"not ranges of units: '{text[:60]}'")
    for run in filter(None, text.split(",")):
        first, _, last = run.partition("-")
        start, stop = int(first), int(last or first) + 1
        if not end <= start < stop <= size:
            raise altered(f"units {run} are not in ascending order below {size}")
        mask_U[start:stop] = True
        end = stop
    return mask_U


def _list(data: Any, name: str) -> list[Any]:
    return take({name: data}, name, list)


def _attribute(data: Any) -> SizeAttribute:
    return SizeAttribute(
        module=take(data, "module", str),
        attribute=take(data, "attribute", str),
        extent=_extent(data.get("extent")),
    )


def _names(data: Any) -> tuple[str, ...]:
    if not isinstance(data, list) or not all(isinstance(name, str) for name in data):
        raise altered(f"not the names of blocks: {data!r}"[:80])
    return tuple(data)


def _line(data: Any) -> Line:
    module, into = (take(data, key, str) for key in ("module", "into"))
    scale, shift = (tuple(take(data, key, list)) for key in ("scale", "shift"))
    if len(scale) != len(shift) or not all(map(_is_number, scale + shift)):
        raise altered(f"the line of '{module}' has no scale and shift per channel")
    slope = tuple(take(data, "slope", list)) if "slope" in data else ()  # since 0.2
    if len(slope) not in (0, len(scale)) or not all(map(_is_number, slope)):
        raise altered(f"the line of '{module}' has slopes, but not one a channel")
    return Line(module, into, take(data, "dim", int), scale, shift, slope)


def _is_number(value: Any) -> bool:
    return type(value) is float and isfinite(value)


def _fold(data: Any) -> Fold:
    shapes = [_list(shape, "shape") for shape in take(data, "shapes", list)]
    names = _names(take(data, "modules", list))
    if len(names) != len(shapes) or len(names) < 2:
        raise altered("a fold has other modules than shapes")
    if not all(type(size) is int and size > 0 for shape in shapes for size in shape):
        raise altered("a fold has a shape that is none")
    return Fold(names, tuple(map(tuple, shapes)), take(data, "inexact_because", str))


def _correction(data: Any) -> Correction:
    exponent = take(data, "exponent", float)
    if not abs(exponent) <= 1:
        raise altered(f"a correction has the exponent {exponent}")
    return Correction(take(data, "tensor", str), _extent(data.get("extent")), exponent)


def _extent(data: Any) -> Extent:
    try:
        return from_json(data)
    except (ValueError, RecursionError) as error:
        raise altered(f"what a dim is made of cannot be read: {error}") from error


def _check_sizes(extents: Iterable[Extent], group_sizes: Mapping[str, int]) -> None:
    """An axis has one size wherever it occurs, that of its group."""
    sizes = dict(group_sizes)
    for extent in extents:
        for leaf in leaves(extent):
            if type(leaf.size) is not int or leaf.size < 0:
                raise altered(f"a size is {leaf.size}")
            if leaf.axis is not None and sizes.setdefault(leaf.axis, leaf.size) != leaf.size:
                raise altered(f"'{leaf.axis}' has {sizes[leaf.axis]} units and {leaf.size} units")
