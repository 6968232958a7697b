"""What channels do to outputs and loss: the estimates, against each channel tried alone."""

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from prunus import Budget
from prunus.errors import CriterionError
from prunus.modes import Replaced
from prunus.planner import Planner
from prunus.signals.line_fits import fitted, partly

ROWS = torch.randn(512, 4)


def scores(model, criterion, data, loss=None):
    planner = Planner.of(
        model, data[0][0][:1], budget=Budget(units=0.5), granularity="activation_channel",
        criterion=criterion,
    )  # fmt: skip
    found = planner.scores(data=data, loss=loss)
    return planner, {name: found[name] for name in planner.free}


def alone(model, groups, rows, figure):
    """Return what each channel does when it alone is a line, by trying."""
    found = {}
    with torch.no_grad():
        dense = model(rows)
        for name, line in fitted(model, groups, [rows]).items():
            values = []
            for channel in range(len(line.scale)):
                bends = torch.arange(len(line.scale)) != channel
                with Replaced(model, {name: partly(line, bends, model).apply}):
                    values.append(figure(model(rows), dense))
            found[name] = torch.tensor(values)
    return found


@pytest.mark.parametrize("inplace", [False, True])
def test_where_outputs_are_linear_in_the_channels_damage_is_that_of_trying(inplace):
    """With one output no sign is random but its own, which the square takes away."""
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace), nn.Linear(6, 1)).eval()
    planner, found = scores(model, "linear_damage", [(ROWS, None)])

    def figure(outputs, dense):
        return (outputs - dense).square().sum() / dense.square().sum()

    torch.testing.assert_close(found, alone(model, planner.free, ROWS, figure), rtol=1e-4, atol=0)


def test_damage_ranks_as_trying_does():
    model = nn.Sequential(
        nn.Conv1d(1, 8, 3), nn.BatchNorm1d(8), nn.PReLU(8), nn.Conv1d(8, 8, 2), nn.LeakyReLU(),
        nn.Flatten(), nn.Linear(8, 3),
    ).eval()  # fmt: skip
    rows = ROWS.unsqueeze(1)
    planner, found = scores(model, "linear_damage", [(rows, None)])
    tried = alone(model, planner.free, rows, lambda o, dense: (o - dense).square().sum())
    pairs = torch.cat(list(found.values())), torch.cat(list(tried.values()))
    assert spearmanr(*pairs).statistic > 0.9


def test_a_rise_of_the_loss_is_close_to_that_of_trying():
    """Targets are drawn from what the model says, as where a trained model is right about them."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    with torch.no_grad():
        model[2].weight.mul_(3)
        targets = torch.multinomial(model(ROWS).softmax(1), 1).flatten()
    loss = nn.CrossEntropyLoss()
    planner, found = scores(model, "linear_loss", [(ROWS, targets)], loss)
    before = loss(model(ROWS), targets).item()
    tried = alone(model, planner.free, ROWS, lambda o, _: loss(o, targets).item() - before)
    torch.testing.assert_close(found["1"], tried["1"], rtol=0.3, atol=2e-3)


def test_channels_that_never_bend_have_no_damage():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([10.0, -10.0, 0.0, 0.0]))
    _, found = scores(model, "linear_damage", [(ROWS, None)])
    assert (found["1"][:2] < 1e-9).all()
    assert (found["1"][2:] > 1e-6).all()


def test_nothing_is_left_on_the_model():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)).requires_grad_(False)
    scores(model, "linear_damage", [(ROWS, None)])
    assert all(not module._forward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training


def test_what_scores_functions_is_needed():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(CriterionError, match="cannot score activation functions"):
        scores(model, "magnitude", [(ROWS, None)])
