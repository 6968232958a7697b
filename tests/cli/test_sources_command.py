"""MODEL and DATA: where they come from, and what is said where they do not."""

from pathlib import Path

import pytest
import torch
from torch import nn

BUDGET = ("--budget", "units=0.5")


def build(model, inputs=None):
    """Write what a user's file would say."""
    Path("mine.py").write_text(
        f"import torch\nfrom torch import nn\n\n\ndef build():\n    return {model}\n"
        f"\n\ndef data():\n    return {inputs}\n"
    )
    return "mine.py:build"


@pytest.mark.parametrize(
    ("model", "words", "hint"),
    [
        ("no.py:build", "there is no file 'no.py'", "check the path"),
        ("net.py:biuld", "there is no function in net.py named 'biuld'", "'build'"),
        ("nets:mlp", "there is no folder, and no model source, 'nets'", "'net'"),
        ("net:mpl", "there is no reference network 'mpl'", "'mlp'"),
        ("net:lenet:3", "net:lenet:3 cannot be built", "net:resnet:32"),
    ],
)
def test_no_such_model(refused, net, model, words, hint):
    message = refused("inspect", model)
    assert words in message
    assert hint in message.partition("hint: ")[2]


@pytest.mark.parametrize(
    ("data", "words", "hint"),
    [
        ("digit", "there is no data set 'digit'", "'digits'"),
        ("no.py:data", "--data no.py:data: there is no file 'no.py'", "check the path"),
        ("net.py:loader", "no function in net.py named 'loader'", "'loaders'"),
        ("net.py:build", "returned no loader, but an object of type Sequential", "DataLoader"),
    ],
)
def test_no_such_data(refused, net, data, words, hint):
    message = refused("prune", net, *BUDGET, "--data", data)
    assert words in message
    assert hint in message.partition("hint: ")[2]


def test_a_function_that_returns_no_model(refused):
    assert "returned no model, but an object of type int" in refused("inspect", build("7"))


def test_inputs_that_nobody_gives(refused):
    message = refused("inspect", build("nn.Linear(4, 2)"))
    assert "it is not known which inputs mine.py:build takes" in message
    assert "hint: --input" in message


def test_inputs_that_the_data_give(run):
    model = build(
        "nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))",
        "[(torch.randn(5, 4), torch.zeros(5, dtype=torch.long))]",
    )
    assert run("prune", model, *BUDGET, "--data", "mine.py:data").exit_code == 0


def test_inputs_that_do_not_fit(refused, net):
    assert "  why:  " in refused("inspect", net, "--input", "1x9")


def test_weights_of_another_architecture(refused, net):
    torch.save(nn.Linear(3, 3).state_dict(), "other.pt")
    message = refused("prune", net, *BUDGET, "--weights", "other.pt")
    assert "'other.pt' holds the weights of another architecture" in message
    assert "  why:  " in message


def test_weights_that_are_not_there(refused, net):
    assert "'none.pt' could not be read" in refused("prune", net, *BUDGET, "--weights", "none.pt")


def test_weights_that_are_no_weights(refused, net):
    Path("text.pt").write_text("hello")
    message = refused("prune", net, *BUDGET, "--weights", "text.pt")
    assert "'text.pt' could not be read as weights" in message


def test_weights_are_read_as_pytorch_writes_them(run):
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    torch.save(model.state_dict(), "dense.pt")
    build("nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), torch.randn(1, 4)")
    assert run("prune", "mine.py:build", *BUDGET, "--weights", "dense.pt").exit_code == 0


# -- broken things of the user's ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("[]", "the data yield no batch"),
        ("[(torch.full((5, 4), torch.nan), torch.zeros(5).long())]", "of batch 1 are not finite"),
        ("iter([])", "returned no loader, but an object of type list_iterator"),
        ("[3]", "batch 1 is a int, not a pair"),
    ],
)
def test_data_that_cannot_be_read(refused, data, words):
    model = build("nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))", data)
    assert words in refused("prune", model, *BUDGET, "--data", "mine.py:data")


def test_one_loader_is_not_trained_on(refused, net):
    message = refused("prune", net, *BUDGET, "--data", "net.py:few", "--recover", "1")
    assert "--data net.py:few has no data to train on" in message
    assert "hint: let it return two" in message


def test_a_file_that_is_no_python(run):
    Path("mine.py").write_text("x = (")
    assert isinstance(run("inspect", "mine.py:build").exception, SyntaxError)


def test_a_forward_that_raises(refused):
    model = build("Broken(), torch.zeros(1, 4)")
    text = Path("mine.py").read_text()
    raises = "class Broken(nn.Linear):\n    def forward(self, x):\n        raise KeyError('mine')\n"
    text = text.replace("def build", raises + "\n\ndef build").replace("Broken(),", "Broken(4, 2),")
    Path("mine.py").write_text(text)
    message = refused("inspect", model)
    assert "mine.py:build does not run on its example inputs" in message
    assert "in forward: KeyError: 'mine'" in message


def test_inputs_that_the_model_does_not_take(refused):
    model = build("nn.Sequential(nn.Linear(4, 6)), torch.zeros(1, 5)")
    message = refused("inspect", model)
    assert "prunus called model(float32 1x5)" in message
    assert "RuntimeError: mat1 and mat2 shapes" in message
    assert "hint: give the shape that it takes: --input" in message


@pytest.mark.parametrize("place", ["import sys; sys.exit(3)", "def build():\n    exit(3)"])
def test_a_file_that_ends_the_program(refused, place):
    Path("ends.py").write_text(f"from sys import exit\n{place}\n")
    message = refused("inspect", "ends.py:build")
    assert "error: the program was ended by ends.py:" in message
    assert "it raised SystemExit(3)" in message


def test_a_file_without_a_function_is_not_run(refused):
    functions = ("build()", "second(width=3)", "needs(width)", "also(*, width)", "_hidden()")
    text = "".join(f"def {each}: pass\n" for each in functions)
    Path("nets.py").write_text(f"1 / 0\n{text}")
    for words in (["inspect", "nets.py"], ["inspect", "nets.py:"]):
        assert refused(*words).endswith("  hint: nets.py:build or nets.py:second\n")
    assert "--data nets.py names no function" in refused(
        "prune", "net:mlp", *BUDGET, "--data", "nets.py"
    )


def test_weights_that_are_not_finite(refused):
    model = build("nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), torch.zeros(1, 4)")
    state = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).state_dict()
    state["0.weight"][0, 0] = torch.nan
    torch.save(state, "dense.pt")
    assert "are NaN or infinite" in refused("prune", model, *BUDGET, "--weights", "dense.pt")


def test_a_model_with_nothing_to_cut(refused):
    message = refused("prune", build("nn.Linear(4, 2), torch.zeros(1, 4)"), *BUDGET)
    assert "no group of the model may lose units" in message
    assert "prunus inspect MODEL" in message


def test_a_file_may_import_its_neighbours(run):
    Path("neighbour.py").write_text("WIDTH = 6\n")
    build("nn.Linear(4, neighbour.WIDTH), torch.zeros(1, 4)")
    Path("mine.py").write_text("import neighbour\n" + Path("mine.py").read_text())
    assert run("inspect", "mine.py:build").exit_code == 0


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_weights_that_were_cut_short(refused, run, net, suffix):
    run("prune", net, *BUDGET, "--weights", "whole.safetensors", "--dense-epochs", "1",
        "--data", "net.py:loaders")  # fmt: skip
    torch.save({"weight": torch.zeros(64)}, "whole.pt")
    content = Path(f"whole.{suffix}").read_bytes()
    Path(f"cut.{suffix}").write_bytes(content[:-30])
    assert f"cut.{suffix}'" in refused("prune", net, *BUDGET, "--weights", f"cut.{suffix}")


def test_a_checkpoint_that_is_no_state_dict(refused, net):
    torch.save({"epoch": 3, "state": {}}, "checkpoint.pt")
    message = refused("prune", net, *BUDGET, "--weights", "checkpoint.pt")
    assert "what is not a tensor in it: epoch, state" in message


def test_a_width_can_be_asked_for(run):
    narrow, wide = (run("inspect", f"net:resnet:{width}", "--json").stdout for width in (8, 16))
    assert '"units": 8,' in narrow
    assert '"units": 8,' not in wide
