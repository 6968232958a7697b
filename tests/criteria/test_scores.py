import pytest
import torch
from torch import nn

from prunus.criteria import Criterion, Gradient, Magnitude, scores
from prunus.errors import CriterionError
from prunus.records import Group, Member
from prunus.signals import WEIGHT, collect
from prunus.signals.tensors import PIECE


class ShareOfGroup(Criterion):
    """Reads all units at once, so it must be given whole groups."""

    needs = frozenset({WEIGHT})

    def score(self, group):
        weight_U = group.members[0].weight_UF[:, 0].abs()
        return weight_U / weight_U.sum()


@pytest.fixture
def model() -> nn.Module:
    return nn.Linear(1000, 600, bias=False)


@pytest.fixture
def groups() -> dict[str, Group]:
    return {"weight": Group("weight", "weight", 600_000, (Member("weight", None),))}


def test_elementwise_scores_come_in_pieces(model, groups):
    streamed = scores(Magnitude(), groups, collect(model, groups, [Magnitude()]))
    sizes = [len(piece) for piece in streamed.stream("weight")]
    assert sizes == [PIECE, PIECE, 600_000 - 2 * PIECE]
    assert torch.equal(streamed["weight"], model.weight.detach().abs().flatten())


def test_scores_can_be_read_again(model, groups):
    streamed = scores(Magnitude(), groups, collect(model, groups, [Magnitude()]))
    assert torch.equal(streamed["weight"], streamed["weight"])


def test_other_scores_come_whole(model, groups):
    criterion = ShareOfGroup()
    (whole,) = scores(criterion, groups, collect(model, groups, [criterion])).stream("weight")
    torch.testing.assert_close(whole.sum(), torch.tensor(1.0))


def test_scores_name_their_criterion(model, groups):
    assert scores(Magnitude(p=1), groups, collect(model, groups, [])).criterion == "Magnitude(p=1)"


def test_signals_of_another_criterion(model, groups):
    signals = collect(model, groups, [Magnitude()])
    with pytest.raises(CriterionError, match="'grad_UF' of 'weight' was not collected"):
        _ = scores(Gradient(), groups, signals)["weight"]
