"""`prunus.explain`: an answer for every parameter."""

import pytest
import torch
from torch import nn

import prunus
from prunus import networks
from prunus.errors import PlanError

ROWS = torch.zeros(2, 6)
IMAGES = torch.zeros(2, 1, 8, 8)


class Tied(nn.Module):
    """Reads one weight under two names, and leaves one layer aside."""

    def __init__(self):
        super().__init__()
        self.one = nn.Linear(6, 6, bias=False)
        self.other = nn.Linear(6, 6, bias=False)
        self.other.weight = self.one.weight
        self.aside = nn.Linear(3, 2)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.other(self.one(x).relu()) * self.scale


def models():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return {
        "resnet": (networks.resnet(width=8), IMAGES),
        "tied": (Tied(), ROWS),
        "encoder": (layer, torch.zeros(2, 3, 8)),
        "lstm": (nn.LSTM(4, 5), torch.zeros(3, 2, 4)),
    }


@pytest.mark.parametrize("granularity", ["channel", "weight"])
@pytest.mark.parametrize("name", models())
def test_every_parameter_has_an_answer(name, granularity):
    model, inputs = models()[name]
    answers = prunus.explain(model, inputs, granularity=granularity).why()

    assert set(answers) == {n for n, _ in model.named_parameters(remove_duplicate=False)}
    assert all(answers.values())


def test_a_layer_is_answered_per_dim():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    explanation = prunus.explain(model, ROWS)

    assert explanation.why("0") == {
        "0.weight": (
            "dim 0: the 8 units of '0' may be removed",
            "dim 1: the 6 units of '0.in' are frozen: model input",
        ),
        "0.bias": ("dim 0: the 8 units of '0' may be removed",),
    }
    assert list(explanation.why("2.bias")) == ["2.bias"]


def test_single_weights_are_answered():
    model = nn.Sequential(nn.Linear(6, 8))
    answers = prunus.explain(model, ROWS, granularity="weight").why()

    assert answers["0.weight"] == ("every element: the 48 units of '0.weight' may be removed",)
    assert answers["0.bias"] == ("no unit lies in it: its sizes (8,) are fixed or left out",)


def test_tied_and_unread_and_scalar_parameters():
    explanation = prunus.explain(Tied(), ROWS)

    assert explanation.why("other.weight")["other.weight"][0] == (
        "it is the same tensor as 'one.weight'"
    )
    assert explanation.why("aside.bias") == {"aside.bias": ("no operator read it",)}
    assert "its sizes () are fixed" in explanation.why("scale")["scale"][0]


def test_an_unknown_name_is_refused():
    explanation = prunus.explain(nn.Sequential(nn.Linear(6, 8)), ROWS)

    with pytest.raises(PlanError, match=r"no parameter or layer '0.weigth'(.|\n)*'0.weight'"):
        explanation.why("0.weigth")
    with pytest.raises(PlanError, match="no group '1'"):
        explanation.unit_cost("1")


def test_the_cost_of_a_unit_is_what_a_cut_saves():
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    cost = prunus.explain(model, torch.zeros(1, 1, 8, 8)).unit_cost("0")

    assert cost.params == (9 + 1) + 2 + 2  # its kernel and bias, its norm, the next layer's inputs
    assert cost.macs == 64 * 9 + 64 * 2
