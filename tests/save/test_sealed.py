import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunus.errors import SaveError
from prunus.save import sealed
from prunus.save.sealed import seal, take, unseal

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.text(max_size=9) | numbers,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


def opened(text: str | bytes, version=1):
    text = text.encode() if isinstance(text, str) else text
    return unseal(text, format="test", version=version, path="x.json")


def sealed_text(**content):
    return seal(content, format="test", version=1)


@given(value=values)
def test_round_trip(value):
    assert opened(sealed_text(value=value))["value"] == value


def test_records_and_tuples_become_objects_and_lists():
    @dataclass(frozen=True)
    class Point:
        x: int

    assert opened(sealed_text(points=(Point(1), Point(2))))["points"] == [{"x": 1}, {"x": 2}]


def test_short_content_stays_on_a_line_and_long_content_does_not():
    lines = sealed_text(short=[1, 2, 3], long=["word " * 10] * 3).splitlines()

    assert '  "short": [1, 2, 3],' in lines
    assert lines.count('    "' + "word " * 10 + '",') == 2


@pytest.mark.parametrize("value", [float("nan"), object(), {(1, 2): 3}, {1, 2}])
def test_values_without_a_json_form(value):
    with pytest.raises(SaveError, match="test: a value cannot be written as JSON"):
        sealed_text(value=value)


def test_too_large_to_read_back_is_too_large_to_write(monkeypatch):
    monkeypatch.setattr(sealed, "LIMIT", 1000)

    with pytest.raises(SaveError, match="are too many to write"):
        sealed_text(value="x" * 1000)


def test_a_newer_version():
    text = seal({}, format="test", version=3)

    with pytest.raises(SaveError, match=r"newer prunus\n  why:  it has format version 3; .* to 2"):
        opened(text, version=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"\x80", "is not JSON"),
        (b"[]", "is not a test"),
        (b'{"format": "other"}', "is not a test"),
        (b'{"format": "test"}', "'version' is missing"),
        (b'{"format": "test", "version": true}', "'version' is missing or is no int"),
        (b'{"format": "test", "version": 1}', "'sha256' is missing"),
        (b'{"format": "test", "version": 1, "sha256": "0"}', "is not as it was written"),
    ],
)
def test_something_else(text, message):
    with pytest.raises(SaveError, match=message):
        opened(text)


def test_a_changed_value():
    body = json.loads(sealed_text(kept=[1, 2]))
    body["kept"] = [1, 3]

    with pytest.raises(SaveError, match="is not as it was written"):
        opened(json.dumps(body))


def test_take_is_strict_about_types():
    assert take({"n": 3}, "n", int) == 3
    for wrong in ({"n": True}, {"n": 3.0}, {}, [3], None):
        with pytest.raises(SaveError, match="'n' is missing or is no int"):
            take(wrong, "n", int)
