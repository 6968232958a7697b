"""A saved model goes into the architecture that it was cut from, and into no other."""

import pytest
import torch
from torch import nn

from prunus.errors import SaveError
from prunus.save import read, write


def untie(model):
    model.two.weight = nn.Parameter(model.one.weight.detach().clone())


def widen(model):
    model.fc = nn.Linear(128, 7)


def rename(model):
    model.bone = model.conv
    del model.conv


def change_transient(model):
    model.register_buffer("place", torch.zeros(9), persistent=False)


def add(model):
    model.more = nn.Linear(2, 2)


OTHERS = {
    "untied": (untie, "'two.weight' is absent there|'two.weight' is float32"),
    "wider": (widen, r"'fc.weight' is float32 \(7, 128\) here, float32 \(6, 128\) there"),
    "renamed": (rename, "'conv.weight' is absent here, .*'conv.bias' is absent here"),
    "half": (lambda model: model.half(), "'conv.weight' is float16 .* here, float32"),
    "transient": (change_transient, r"'place' has shape \(9,\) here, \(8,\) there"),
    "more": (add, "'more.weight' is float32 .* here, absent there"),
    "attribute": (lambda model: setattr(model, "width", 4), "width is 4 here, 8 there"),
    "no attribute": (lambda model: delattr(model.norm, "num_features"), "num_features is None"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_architecture_is_refused_and_left_alone(name, folder, build):
    change, message = OTHERS[name]
    model = build()
    change(model)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}

    with pytest.raises(SaveError, match=f"another architecture\n  why:.*({message})"):
        read(folder, model=model)

    after = model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_many_differences_are_summed_up(folder):
    with pytest.raises(SaveError, match=r"; and \d+ more\n  hint: pass the dense model"):
        read(folder, model=nn.Linear(2, 2))


def test_a_model_that_was_converted_before_it_was_saved(tmp_path, small, plan, build):
    write(tmp_path, model=small.half(), plan=plan)

    with pytest.raises(SaveError, match=r"convert it first, .*: model\.to\(torch\.float16\)"):
        read(tmp_path, model=build())
    assert read(tmp_path, model=build().to(torch.float16)).fc.weight.dtype is torch.float16


def test_a_pruned_model_is_not_pruned_again(folder, build):
    once = read(folder, model=build())

    with pytest.raises(SaveError, match="another architecture"):
        read(folder, model=once)


def test_a_model_without_memory(folder, build):
    with torch.device("meta"):
        model = build()

    with pytest.raises(SaveError, match="on the meta device"):
        read(folder, model=model)
