"""The line in place of an activation function is that of least squares; scores are by hand."""

import pytest
import torch
from torch import nn

import prunus
from prunus import Budget
from prunus.criteria import LinearDamage, LinearLoss
from prunus.errors import CriterionError, DataError
from prunus.planner import Planner
from prunus.signals.line_fits import best_lines
from prunus.trace import trace
from prunus.units.activation import groups


def lines_of(model, inputs):
    found = groups(trace(model, inputs))
    return best_lines(model, found, [inputs])


@pytest.mark.parametrize("inplace", [False, True])
def test_a_line_is_that_of_lstsq(inplace):
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(inplace=inplace), nn.Linear(2, 1))
    rows = torch.randn(200, 3)
    (line,) = lines_of(model, rows)
    x = model[0](rows).detach().double()
    for channel in range(2):
        columns = torch.stack([x[:, channel], torch.ones(200)], dim=1)
        expected = torch.linalg.lstsq(columns, x[:, channel : channel + 1].relu()).solution
        found = torch.tensor([line.scale[channel], line.shift[channel]]).double()
        torch.testing.assert_close(found, expected.flatten(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layers", "inputs", "dim"),
    [
        ([nn.Conv2d(3, 4, 1)], torch.randn(2, 3, 5, 5), -3),
        ([nn.Conv1d(3, 4, 1), nn.BatchNorm1d(4)], torch.randn(2, 3, 5), 1),
        ([nn.Linear(3, 4)], torch.randn(2, 5, 3), -1),
    ],
)
def test_a_line_is_per_channel_of_what_stands_in_front(layers, inputs, dim):
    (line,) = lines_of(nn.Sequential(*layers, nn.Tanh()), inputs)
    assert (line.dim, len(line.scale), line.into) == (dim, 4, str(len(layers) - 1))


def test_each_is_fitted_when_those_in_front_are_lines_already():
    """Behind a line that is y = c, the second function sees one number: its line is flat."""
    model = nn.Sequential(nn.Linear(1, 1), nn.Threshold(1e9, 2.0), nn.Linear(1, 1), nn.Tanh())
    first, second = lines_of(model, torch.randn(50, 1))
    assert first.scale == (0.0,)
    assert first.shift == (2.0,)
    torch.testing.assert_close(second.scale, (0.0,))
    torch.testing.assert_close(second.shift[0], model(torch.zeros(1, 1)).item())


def identity(scale=1.0):
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, scale)
    return layer


ROWS = torch.tensor([[-1.0], [1.0]])


def scores(criterion, model, data, loss=None):
    planner = Planner.of(
        model, ROWS, budget=Budget(units=0.5), granularity="activation", criterion=criterion
    )
    found = planner.scores(data=data, loss=loss)
    return {name: found[name].item() for name in planner.free}


def test_damage_by_hand():
    """relu of -1, 0, 1, 2 has the line 0.4 + 0.7 x: squared errors 0.3, and outputs' squares 5."""
    rows = torch.tensor([[-1.0], [0.0], [1.0], [2.0]])
    model = nn.Sequential(identity(), nn.ReLU(), identity())
    found = scores(LinearDamage(), model, [rows])
    torch.testing.assert_close(found, {"1": 0.3 / 5}, rtol=1e-4, atol=1e-6)


def test_loss_by_hand():
    """The same line; with its outputs as targets, the loss rises from 0 to the mean of 0.3."""
    model = nn.Sequential(identity(), nn.ReLU(), identity())
    rows = torch.tensor([[-1.0], [0.0], [1.0], [2.0]])
    data = [(rows, rows.relu())]
    found = scores(LinearLoss(), model, data, nn.MSELoss())
    torch.testing.assert_close(found, {"1": 0.3 / 4}, rtol=1e-4, atol=1e-6)


def test_a_function_that_never_bends_goes_first():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[2].bias.add_(100.0)
    rows = torch.randn(64, 3)
    result = prunus.prune(
        model, rows, budget=Budget(units=0.5), granularity="activation", data=[rows]
    )
    assert [line.module for line in result.plan.lines] == ["3"]
    torch.testing.assert_close(result.model(rows), model(rows), rtol=1e-4, atol=1e-3)


def test_the_model_and_the_random_state_are_left_alone():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(), nn.Linear(4, 2))
    before, state = vars(model[1]).copy(), torch.get_rng_state()
    lines_of(model, torch.ones(4, 3))
    assert vars(model[1]) == before
    assert not model[1]._forward_hooks
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_data_that_reach_nothing_are_refused():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    found = groups(trace(model, torch.ones(1, 3)))
    with pytest.raises(DataError, match="no batch"):
        best_lines(model, found, [])


def test_without_data_nothing_goes():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    rows = torch.ones(1, 3)
    with pytest.raises(CriterionError, match=r"LinearDamage.* needs data"):
        prunus.prune(model, rows, budget=Budget(macs=0.9), granularity="activation")
    with pytest.raises(CriterionError, match="'activation' needs data"):
        prunus.prune(
            model, rows, budget=Budget(macs=0.7), granularity="activation", criterion="random"
        )


@pytest.mark.parametrize("criterion", ["magnitude", "taylor", "batch_norm_scale"])
def test_weights_do_not_score_activations(criterion):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(CriterionError, match="cannot score activation functions such as '1'"):
        prunus.prune(
            model, torch.ones(1, 3), budget=Budget(macs=0.9), granularity="activation",
            criterion=criterion, data=[(torch.ones(1, 3), torch.ones(1, 2))], loss=nn.MSELoss(),
        )  # fmt: skip


def test_activations_do_not_score_channels():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(CriterionError, match=r"LinearDamage.* cannot score units that are slices"):
        prunus.prune(
            model, torch.ones(1, 3), budget=Budget(units=0.5), criterion="linear_damage",
            data=[torch.ones(4, 3)],
        )  # fmt: skip
