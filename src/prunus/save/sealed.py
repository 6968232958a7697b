"""JSON that knows when it was altered.

A sealed text is one JSON object: what it is ("format"), its version, the content, and last the
sha256 of all that, taken over the content and not over its layout.

    >>> print(seal({"kept": [1, 2]}, format="prunus plan", version=1))
    {
      "format": "prunus plan",
      "version": 1,
      "kept": [1, 2],
      "sha256": "..."
    }
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from hashlib import sha256
from typing import Any, TypeVar

from prunus.errors import SaveError

LIMIT = 256 * 2**20
"""Largest sealed text, in bytes."""

_WIDTH = 100
T = TypeVar("T")


def seal(content: Mapping[str, Any], *, format: str, version: int) -> str:
    """Return `content` as sealed text. Records become objects, tuples lists.

    Raises:
        SaveError: If something in it has no JSON form, or it is too large.
    """
    body = {"format": format, "version": version, **content}
    try:
        body = json.loads(json.dumps(plain(body), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise SaveError(
            f"{format}: a value cannot be written as JSON",
            why=str(error),
            hint="use numbers that are finite, strings, lists and dicts with string keys",
        ) from error
    text = _layout(body | {"sha256": _digest(body)})
    if len(text) > LIMIT:
        raise SaveError(
            f"{format}: {len(text)} bytes are too many to write",
            why=f"a file of this kind has at most {LIMIT}",
            hint="shorten the provenance or what was passed in extra",
        )
    return text + "\n"


def unseal(text: bytes, *, format: str, version: int, path: object) -> dict[str, Any]:
    """Return the content of a sealed text.

    Args:
        text: What was read.
        format: What it must be.
        version: Newest version that the caller understands.
        path: Where it came from, for the messages.

    Raises:
        SaveError: If it is something else, newer, or not as it was written.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise altered(f"'{path}' is not JSON: {error}") from error
    if not isinstance(body, dict) or body.get("format") != format:
        raise SaveError(
            f"'{path}' is not a {format}",
            why=f'it does not say "format": "{format}"',
            hint="check the path",
        )
    found = take(body, "version", int)
    if found > version:
        raise SaveError(
            f"'{path}' was written by a newer prunus",
            why=f"it has format version {found}; this prunus reads up to {version}",
            hint="pip install --upgrade prunus",
        )
    digest = take(body, "sha256", str)
    del body["sha256"]
    if found < 1 or digest != _digest(body):
        raise altered(f"'{path}' is not as it was written")
    return body


def take(data: Any, key: str, kind: type[T]) -> T:
    """Return `data[key]`, which must be exactly of type `kind`. Raises SaveError otherwise."""
    value = data.get(key) if isinstance(data, dict) else None
    if type(value) is not kind:
        raise altered(f"'{key}' is missing or is no {kind.__name__}")
    return value


def altered(what: str) -> SaveError:
    """Return the error for content that prunus did not write like that."""
    return SaveError(
        what,
        why="the file was cut short or altered after it was written",
        hint="write it again, or restore it from a backup",
    )


def plain(value: Any) -> Any:
    """Return `value` with records and mappings as dicts, and tuples as lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _digest(body: Mapping[str, Any]) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()


def _layout(value: Any, indent: int = 0) -> str:
    """JSON for people: what fits on a line stays on one."""
    text = json.dumps(value)
    if not value or not isinstance(value, list | dict) or (indent and indent + len(text) <= _WIDTH):
        return text
    margin = " " * (indent + 2)
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {_layout(item, indent + 2)}" for key, item in value.items()]
        left, right = "{}"
    else:
        items = [_layout(item, indent + 2) for item in value]
        left, right = "[]"
    lines = ",\n".join(margin + item for item in items)
    return f"{left}\n{lines}\n{' ' * indent}{right}"
