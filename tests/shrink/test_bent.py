"""Channels of activation functions become lines; the others bend as they did."""

import pytest
import torch
from torch import nn

import prunus
from prunus import Budget
from prunus.errors import PlanError, SaveError, TrainError
from prunus.save.plans import plan_from_json, plan_to_json

IMAGES = torch.randn(4, 3, 6, 6)
DATA = [(torch.randn(16, 3, 6, 6), torch.randint(3, (16,)))]


def build():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(inplace=True), nn.Conv2d(8, 6, 1),
        nn.BatchNorm2d(6), nn.LeakyReLU(0.1), nn.Conv2d(6, 4, 1), nn.PReLU(4),
        nn.Flatten(), nn.Linear(64, 3),
    )  # fmt: skip


def pruned(model, **more):
    settings = {"budget": Budget(units=0.5), "data": DATA, "granularity": "activation_channel"}
    return prunus.prune(model, IMAGES, **{**settings, **more})


def test_each_channel_is_a_line_or_bends_as_it_did():
    model = build()
    nn.init.uniform_(model[6].weight, 0.1, 0.4)
    result = pruned(model)
    assert sum(result.plan.counts.values()) == 9
    for line in result.plan.lines:
        bends_C = result.plan.kept[line.module].mask()
        function = result.model.get_submodule(line.module)
        dense = model.get_submodule(line.module)
        x = torch.randn(5, len(bends_C), 2, 2)
        torch.testing.assert_close(function(x)[:, bends_C], dense(x.clone())[:, bends_C])
        torch.testing.assert_close(function(x)[:, ~bends_C], x[:, ~bends_C])
        weight = result.model.get_submodule(line.into).weight
        assert torch.equal(weight[bends_C], model.get_submodule(line.into).weight[bends_C])


def test_the_result_is_plain_and_costs_what_is_said():
    result = pruned(build(), budget=Budget(units=0.3))
    kinds = {nn.Sequential, nn.Conv2d, nn.BatchNorm2d, nn.Flatten, nn.Linear, nn.ReLU}
    kinds |= {nn.LeakyReLU, nn.PReLU, nn.Identity}
    assert {type(module) for module in result.model.modules()} <= kinds
    costs = prunus.explain(build(), IMAGES, granularity="activation_channel").costs
    assert costs.params(result.plan.counts) == result.report.after.params
    assert costs.bytes(result.plan.counts) == result.report.after.bytes
    assert result.report.agreement.difference <= result.report.agreement.tolerance
    slopes = [m.weight for m in result.model.modules() if isinstance(m, nn.PReLU)]
    assert not any(slope.requires_grad for slope in slopes[:-1]), "lines stay lines in training"


def test_layers_become_one_when_the_last_channel_is_a_line():
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 4))
    with torch.no_grad():
        model[0].bias.add_(100.0)  # none of these sixteen ever bends
    rows = torch.randn(64, 4)
    some, all_ = (
        prunus.prune(
            model, rows, budget=Budget(units=kept), granularity="activation_channel", data=[rows]
        )
        for kept in (5, 4)
    )
    assert some.report.after.macs == some.report.before.macs
    assert "1 in 15 of 16 channels" in str(some.report)
    assert [fold.modules for fold in all_.plan.folds] == [("0", "2")]
    assert all_.report.after.macs < all_.report.before.macs
    torch.testing.assert_close(all_.model(rows), model(rows), rtol=1e-3, atol=1e-2)


def test_saved_loaded_and_planned_alone(tmp_path):
    result = pruned(build())
    prunus.save(result, tmp_path / "small")
    loaded = prunus.load(tmp_path / "small", model=build())
    assert torch.equal(loaded.eval()(IMAGES), result.model.eval()(IMAGES))
    plan = plan_from_json(plan_to_json(result.plan))
    assert plan.lines == result.plan.lines


def test_plans_from_before_there_were_slopes_are_read():
    data = plan_to_json(pruned(build(), granularity="activation").plan)
    for line in data["lines"]:
        assert line.pop("slope") == []
    assert plan_from_json(data).lines


@pytest.mark.parametrize("slope", [[0.5], ["a"] * 8, [float("nan")] * 8])
def test_altered_slopes_are_refused(slope):
    data = plan_to_json(pruned(build()).plan)
    data["lines"][0]["slope"] = slope
    with pytest.raises(SaveError, match="has slopes, but not one a channel"):
        plan_from_json(data)


def test_in_place_and_masked_agree():
    model = build().eval()
    result = pruned(model)
    twin = result.masked()
    torch.testing.assert_close(twin(IMAGES), result.model(IMAGES), rtol=1e-4, atol=1e-5)
    again = pruned(model, in_place=True)
    assert again.model is model
    torch.testing.assert_close(model(IMAGES), result.model(IMAGES))


def test_what_functions_cannot_do_their_channels_cannot():
    model = build()
    with pytest.raises(TrainError, match="activation functions are scored in one"):
        pruned(model, schedule=prunus.schedules.Iterative(rounds=2))
    with pytest.raises(TrainError, match=r"(?s)not pruned while.*'activation_channel'"):
        prunus.Pruner(model, IMAGES, budget=Budget(units=1), granularity="activation_channel")
    with pytest.raises(PlanError, match="the optimizer cannot follow"):
        pruned(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
