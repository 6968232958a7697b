"""Write, read back, refuse."""

import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from prunus.errors import SaveError
from prunus.records import Cost, Kept, Plan, Report
from prunus.save import files, read, read_manifest, write
from prunus.shrink import shrink


def same_tensors(one, other):
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(
        torch.equal(mine[name], theirs[name]) and mine[name].dtype == theirs[name].dtype
        for name in mine
    )


def test_round_trip(folder, small, build, inputs):
    back = read(folder, model=build()).eval()

    assert same_tensors(back, small)
    assert torch.equal(back(inputs), small(inputs))
    assert (back.width, back.conv.out_channels, back.fc.in_features) == (4, 4, 64)


def test_tied_weights_are_stored_once_and_stay_tied(folder, build):
    manifest = read_manifest(folder)
    back = read(folder, model=build())

    assert manifest.aliases == {"two.weight": "one.weight"}
    assert "two.weight" not in manifest.tensors
    assert back.one.weight is back.two.weight


def test_transient_buffers_are_cut_and_not_stored(folder, build):
    assert "place" not in read_manifest(folder).tensors
    assert read(folder, model=build()).place.tolist() == [0, 2, 3, 6]


def test_single_weights(tmp_path):
    model = nn.Linear(4, 3)
    kept = Kept.of(torch.rand(12) < 0.5)
    plan = Plan("weight", {"weight": kept}, {})
    pruned = shrink(model, plan)

    write(tmp_path, model=pruned, plan=plan)

    assert same_tensors(read(tmp_path, model=nn.Linear(4, 3)), pruned)
    assert torch.equal(read_manifest(tmp_path).plan.kept["weight"].mask(), kept.mask())


def test_a_channels_last_model_keeps_its_memory_format(tmp_path, build, plan):
    small = shrink(build().to(memory_format=torch.channels_last), plan)
    write(tmp_path, model=small, plan=plan)

    back = read(tmp_path, model=build().to(memory_format=torch.channels_last))

    assert same_tensors(back, small)
    assert back.conv.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_manifest_tells_how_the_model_was_made(tmp_path, small, plan):
    cost = Cost(params=10, nonzero=10, macs=100, bytes=40)
    report = Report(cost, cost, (), None, (), {"seed": 3}, {"trace": 0.1})
    write(tmp_path, model=small, plan=plan, report=report, extra={"verdict": "same accuracy"})

    manifest = read_manifest(tmp_path)

    assert manifest.made_with.keys() == {"prunus", "torch", "python"}
    assert manifest.plan.provenance == plan.provenance
    assert manifest.report["after"]["macs"] == 100
    assert manifest.extra == {"verdict": "same accuracy"}
    assert manifest.tensors["conv.weight"].dense_shape == (8, 3, 3, 3)
    assert manifest.tensors["conv.weight"].shape == (4, 3, 3, 3)
    assert manifest.tensors["scale"].dtype == "bfloat16"


def test_the_manifest_is_plain_readable_json(folder):
    text = (folder / "manifest.json").read_text()

    data = json.loads(text)

    assert (data["format"], data["version"]) == ("prunus model", 1)
    assert data["plan"]["kept"] == {"conv": {"size": 8, "kept": "0,2-3,6"}}
    assert max(map(len, text.splitlines())) < 130


def test_the_same_model_gives_the_same_bytes(folder, tmp_path, small, plan):
    write(tmp_path / "again", model=small, plan=plan)

    for name in ("manifest.json", "model.safetensors"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_writing_changes_nothing_in_the_model(tmp_path, small, plan):
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    flags = [module.training for module in small.modules()]

    write(tmp_path, model=small, plan=plan)

    assert all(torch.equal(before[name], t) for name, t in small.state_dict().items())
    assert flags == [module.training for module in small.modules()]


def test_other_files_in_the_folder_are_left_alone(folder, small, plan, build):
    (folder / "README.md").write_text("mine")

    write(folder, model=small, plan=plan)

    assert (folder / "README.md").read_text() == "mine"
    assert same_tensors(read(folder, model=build()), small)


# -- what is refused before anything is written ------------------------------------------------


@pytest.mark.parametrize("name", ["notes.txt", "model.safetensors", "model.pt"])
def test_a_folder_that_prunus_did_not_write_is_not_overwritten(tmp_path, small, plan, name):
    (tmp_path / name).write_text("mine")

    with pytest.raises(SaveError, match=f"not overwritten[^$]*'{name}'"):
        write(tmp_path, model=small, plan=plan)

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


def test_a_manifest_of_another_program_is_not_overwritten(tmp_path, small, plan):
    (tmp_path / "manifest.json").write_text('{"name": "web app"}')

    with pytest.raises(SaveError, match="is not a prunus model"):
        write(tmp_path, model=small, plan=plan)


def test_a_file_where_a_folder_is_expected(tmp_path, small, plan, build):
    path = tmp_path / "small"
    path.write_text("mine")

    with pytest.raises(SaveError, match="it is a file"):
        write(path, model=small, plan=plan)
    with pytest.raises(SaveError, match="holds no saved model"):
        read(path, model=build())


def test_a_model_that_another_plan_made(tmp_path, build, plan):
    with pytest.raises(SaveError, match=r"'conv.weight' has shape \(8, 3, 3, 3\), but the plan"):
        write(tmp_path / "x", model=build(), plan=plan)

    assert not (tmp_path / "x").exists()


def test_extra_that_is_no_json(tmp_path, small, plan):
    with pytest.raises(SaveError, match="cannot be written as JSON"):
        write(tmp_path / "x", model=small, plan=plan, extra={"when": object()})

    assert not (tmp_path / "x").exists()


def test_extra_state_is_not_pickled(tmp_path, plan, small):
    class Stateful(nn.Module):
        def get_extra_state(self):
            return {"any": "object"}

    small.extra = Stateful()

    with pytest.raises(SaveError, match=r"module .extra. .* has extra state"):
        write(tmp_path, model=small, plan=plan)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(2, 2).to_sparse(),
        torch.zeros(2, device="meta"),
        torch.zeros(2, dtype=torch.complex128),
    ],
    ids=["sparse", "meta", "complex128"],
)
def test_tensors_that_no_file_can_hold(tmp_path, tensor):
    model = nn.Linear(2, 2)
    model.register_buffer("odd", tensor)

    with pytest.raises(SaveError, match="'odd' cannot be stored"):
        write(tmp_path, model=model, plan=Plan("channel", {}, {}))


# -- what is refused before anything is read or written ----------------------------------------


UNNAMED = {
    "None": (None, "folder=None means nothing\n  why:  it is a NoneType\n  hint: name a folder"),
    "a model": (nn.Linear(2, 2), "it is a Linear"),
    "empty": ("", "the name of the folder is empty\n  why: .*\n  hint: name a folder"),
    "a NUL": ("a\0b", "cannot be the name of a folder\n  why: .* NUL"),
}


@pytest.mark.parametrize("name", UNNAMED)
def test_what_names_no_folder(name, small, plan, build, tmp_path, monkeypatch):
    folder, message = UNNAMED[name]
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SaveError, match=message):
        write(folder, model=small, plan=plan)
    with pytest.raises(SaveError, match=message):
        read(folder, model=build())

    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("model", [None, nn.Linear, "small"])
def test_what_is_no_model_to_fill(folder, model):
    with pytest.raises(SaveError, match=r"model=.* means nothing\n  why: .*\n  hint: .*build\(\)"):
        read(folder, model=model)


def test_a_name_that_is_too_long(small, plan, build, tmp_path):
    folder = tmp_path / ("x" * 300)

    with pytest.raises(SaveError, match=r"could not be written[^$]*hint: choose a shorter name"):
        write(folder, model=small, plan=plan)
    with pytest.raises(SaveError, match=r"could not be read|no saved model"):
        read(folder, model=build())


@pytest.mark.parametrize(
    ("make", "kind"), [(Path.mkdir, "a folder"), (os.mkfifo, "no regular file")]
)
def test_a_manifest_that_is_no_file(make, kind, small, plan, build, tmp_path):
    make(tmp_path / "manifest.json")

    with pytest.raises(SaveError, match=f"not overwritten[^$]*its manifest.json is {kind}"):
        write(tmp_path, model=small, plan=plan)
    with pytest.raises(SaveError, match=f"no saved model\n  why:  its manifest.json is {kind}"):
        read(tmp_path, model=build())


@pytest.mark.parametrize(
    ("name", "layer", "message"),
    [
        ("fc", nn.Linear(64, 7), r"'fc.weight' has shape \(7, 64\), but the plan makes it \(6, 64"),
        ("norm", nn.Identity(), r"'norm.weight' is not there, but the plan makes it \(4,\)"),
    ],
)
def test_a_layer_that_was_replaced(name, layer, message, small, plan, tmp_path):
    setattr(small, name, layer)

    with pytest.raises(SaveError, match=f"{message}[^$]*changed afterwards"):
        write(tmp_path / "x", model=small, plan=plan)

    assert not (tmp_path / "x").exists()


def test_a_layer_replaced_where_single_weights_were_set_to_zero(tmp_path):
    plan = Plan("weight", {"weight": Kept.of(torch.rand(12) < 0.5)}, {})

    with pytest.raises(SaveError, match=r"'weight' has shape \(15,\), but .* \(12,\)"):
        write(tmp_path, model=nn.Linear(5, 3), plan=plan)


# -- what is refused before the model is touched -----------------------------------------------


def test_no_folder(tmp_path, build):
    with pytest.raises(SaveError, match="no saved model\n  why:  there is no such folder"):
        read(tmp_path / "nowhere", model=build())


def test_weights_that_are_missing(folder, build):
    (folder / "model.safetensors").unlink()

    with pytest.raises(SaveError, match=r"model.safetensors. is missing\n  why: .*\n  hint: copy"):
        read(folder, model=build())


def test_weights_of_another_model_of_the_same_shape(folder, tmp_path, small, plan, build):
    with torch.no_grad():
        small.conv.weight.add_(1)
    write(tmp_path / "other", model=small, plan=plan)
    (tmp_path / "other" / "model.safetensors").replace(folder / "model.safetensors")

    with pytest.raises(SaveError, match="another sha256 than its manifest says"):
        read(folder, model=build())


def test_a_plan_that_cannot_be_applied_leaves_the_model_alone(folder, build, monkeypatch):
    def fail(model, plan, *, in_place):
        raise SaveError("no")

    monkeypatch.setattr(files, "shrink", fail)
    model = build()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    with pytest.raises(SaveError, match="no"):
        read(folder, model=model)

    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_a_cut_that_gives_other_shapes_is_not_filled_by_broadcasting(folder, build, monkeypatch):
    monkeypatch.setattr(files, "shrink", lambda model, plan, *, in_place: model)

    with pytest.raises(SaveError, match=r"was cut to \(8, .*, the file holds \(4, "):
        read(folder, model=build())
