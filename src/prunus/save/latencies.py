"""A latency table as JSON: measured once on the device that counts, read wherever it is needed."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from prunus.cost import Curve, LatencyTable
from prunus.errors import PruneError
from prunus.files import atomic_write, read_limited
from prunus.records import Latency
from prunus.save.sealed import LIMIT, altered, plain, seal, take, unseal

FORMAT, VERSION = "prunus latency table", 1


def save_latency_table(table: LatencyTable, path: str | Path) -> None:
    """Write a latency table to a file, atomically.

    Raises:
        SaveError: If the disk refuses.

    Example:
        >>> import tempfile
        >>> table = prunus.latency_table(nn.Linear(4, 8), torch.randn(16, 4), runs=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     prunus.save_latency_table(table, f"{folder}/latency.json")
    """
    atomic_write(path, seal({"table": plain(table)}, format=FORMAT, version=VERSION))


def load_latency_table(path: str | Path) -> LatencyTable:
    """Return the table that `save_latency_table` wrote.

    Raises:
        SaveError: If the file is missing, altered, newer, or something else.

    Example:
        >>> import tempfile
        >>> table = prunus.latency_table(nn.Linear(4, 8), torch.randn(16, 4), runs=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     prunus.save_latency_table(table, f"{folder}/latency.json")
        ...     prunus.load_latency_table(f"{folder}/latency.json") == table
        True
    """
    text = read_limited(path, limit=LIMIT)
    data = unseal(text, format=FORMAT, version=VERSION, path=path).get("table")
    dense = take(data, "dense", dict)
    if dense.keys() != {field.name for field in fields(Latency)}:
        raise altered("the latency of the dense model has other fields")
    try:
        return LatencyTable(
            curves={name: _curve(curve) for name, curve in take(data, "curves", dict).items()},
            dense=Latency(**dense),
            scale=take(data, "scale", float),
            rest=take(data, "rest", float),
            unmeasured=tuple(take(data, "unmeasured", list)),
            provenance=take(data, "provenance", dict),
        )
    except (TypeError, PruneError) as error:
        raise altered(f"the latency table cannot be read: {error}") from error


def _curve(data: Any) -> Curve:
    sizes = tuple(tuple(at) for at in take(data, "sizes", list))
    return Curve(sizes, tuple(take(data, "milliseconds", list)))
