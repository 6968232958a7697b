"""A latency table in a file: measured once, read elsewhere."""

import json

import pytest
import torch
from pretended import pretended_table
from torch import nn

from prunus.errors import SaveError
from prunus.save import load_latency_table, save_latency_table
from prunus.save.sealed import seal


@pytest.fixture
def table():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 2))
    return pretended_table(model, torch.zeros(16, 4), milliseconds=700)


@pytest.fixture
def path(table, tmp_path):
    save_latency_table(table, tmp_path / "latency.json")
    return tmp_path / "latency.json"


def test_what_is_read_is_what_was_written(table, path):
    assert load_latency_table(path) == table


def test_it_is_plain_json(table, path):
    data = json.loads(path.read_text())
    assert data["format"] == "prunus latency table"
    assert data["table"]["dense"]["batch"] == 16
    assert data["table"]["curves"].keys() == table.curves.keys()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.pop("rest"), "'rest' is missing"),
        (lambda table: table["dense"].pop("median"), "has other fields"),
        (lambda table: table["curves"].update(x={"sizes": [[1]]}), "'milliseconds' is missing"),
        (lambda table: table["curves"].update(x={"sizes": 3}), "'sizes' is missing"),
        (
            lambda table: table["curves"].update(x={"sizes": [[1]], "milliseconds": [1.0, 2.0]}),
            "2 times do not make a curve",
        ),
        (lambda table: table["curves"].update(x={"sizes": [3], "milliseconds": []}), "be read"),
    ],
)
def test_a_file_that_prunus_would_not_write(path, change, said):
    body = json.loads(path.read_text())
    change(body["table"])
    path.write_text(seal({"table": body["table"]}, format=body["format"], version=1))
    with pytest.raises(SaveError, match=said):
        load_latency_table(path)


def test_an_altered_file(path):
    path.write_text(path.read_text().replace('"batch": 16', '"batch": 32'))
    with pytest.raises(SaveError, match="is not as it was written"):
        load_latency_table(path)


def test_another_file(tmp_path):
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(SaveError, match="is not a prunus latency table"):
        load_latency_table(tmp_path / "plan.json")
