"""Activation functions are pruned through the same doors as everything else."""

import copy
import sys

import pytest
import torch
from torch import nn

import prunus
from prunus import Budget
from prunus.errors import (
    BudgetError,
    CriterionError,
    PlanError,
    SaveError,
    TrainError,
    VerifyError,
)
from prunus.save.plans import plan_from_json, plan_to_json

IMAGES = torch.randn(4, 3, 6, 6)
DATA = [torch.randn(16, 3, 6, 6)]


class Net(nn.Module):
    """Every way to become one, in a forward of its own."""

    def __init__(self, inner=16):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm, self.relu = nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        self.down, self.silu = nn.Conv2d(8, 4, 1), nn.SiLU()
        self.deep = nn.Conv2d(4, inner, 3, groups=2)
        self.swish, self.up = nn.Hardswish(), nn.Conv2d(inner, 4, 1)
        self.fc1, self.gelu, self.fc2 = nn.Linear(4, 20), nn.GELU(), nn.Linear(20, 3)

    def forward(self, x):
        x = self.relu(self.norm(self.conv(x)))
        x = self.up(self.swish(self.deep(self.silu(self.down(x)))))
        return self.fc2(self.gelu(self.fc1(x.mean((2, 3)))))


def data_of(model):
    with torch.no_grad():
        batches = [torch.randn(16, 3, 6, 6) for _ in range(2)]
        targets = copy.deepcopy(model).eval()
        return [(inputs, targets(inputs)) for inputs in batches]


def pruned(model, **more):
    settings = {"budget": Budget(units=1), "data": data_of(model), "granularity": "activation"}
    return prunus.prune(model, IMAGES, **{**settings, **more})


@pytest.mark.parametrize("kept", [4, 3, 2, 1])
def test_folded_is_straightened_and_costs_what_is_said(kept):
    model = Net()
    result = pruned(model, budget=Budget(units=kept))
    report = result.report
    assert len(result.plan.lines) == len(result.plan.kept) == 4 - kept
    found = prunus.explain(result.model, IMAGES).costs
    assert report.after.macs == found.macs({}) <= report.before.macs
    planned = prunus.explain(model, IMAGES, granularity="activation").costs
    assert planned.params(result.plan.counts) == report.after.params
    assert planned.bytes(result.plan.counts) == report.after.bytes
    if report.agreement is not None:
        assert report.agreement.difference <= report.agreement.tolerance


def test_the_twin_has_lines_and_its_layers():
    model = Net()
    result = pruned(model, budget=Budget(macs=0.8))
    twin = result.masked()
    torch.testing.assert_close(twin.eval()(IMAGES), result.model.eval()(IMAGES))
    assert twin.down.weight.shape == model.down.weight.shape
    line = result.plan.lines[0]
    x = torch.randn(2, len(line.scale), 3, 3)
    torch.testing.assert_close(twin.get_submodule(line.module)(x), line.apply(x))


def test_the_callers_model_is_untouched_and_the_result_is_plain():
    model = Net()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    kinds = [type(module) for module in model.modules()]
    result = pruned(model)
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    assert [type(module) for module in model.modules()] == kinds
    assert {type(m) for m in result.model.modules()} <= {*kinds, nn.Identity}
    assert all("forward" not in vars(m) for m in [*model.modules(), *result.model.modules()])
    assert all(module.training for module in result.model.modules())


def test_saved_and_loaded(tmp_path):
    result = pruned(Net())
    prunus.save(result, tmp_path / "small")
    loaded = prunus.load(tmp_path / "small", model=Net())
    assert torch.equal(loaded.eval()(IMAGES), result.model.eval()(IMAGES))
    with pytest.raises((PlanError, SaveError), match="deep"):
        prunus.load(tmp_path / "small", model=Net(inner=8))


def test_a_plan_alone_makes_the_same_model(tmp_path):
    model = Net()
    result = pruned(model)
    prunus.save_plan(result.plan, tmp_path / "plan.json")
    plan = prunus.load_plan(tmp_path / "plan.json")
    assert plan == result.plan or plan.lines == result.plan.lines
    again = prunus.shrink(model, plan)
    assert torch.equal(again.eval()(IMAGES), result.model.eval()(IMAGES))


def test_in_place():
    model = Net()
    expected = pruned(model, data=DATA).model.eval()(IMAGES)
    result = pruned(model, data=DATA, in_place=True)
    assert result.model is model
    assert type(model.gelu) is nn.Identity or type(model.silu) is nn.Identity
    torch.testing.assert_close(model.eval()(IMAGES), expected)


def test_a_failed_check_gives_the_functions_and_layers_back(monkeypatch):
    def differ(*_, **__):
        raise VerifyError("made up")

    model = Net()
    expected = model.eval()(IMAGES)
    monkeypatch.setattr("prunus.api.agree", differ)
    with pytest.raises(VerifyError):
        pruned(model, in_place=True)
    assert torch.equal(model(IMAGES), expected)
    assert isinstance(model.silu, nn.SiLU)


def test_a_wrong_fold_is_caught(monkeypatch):
    def forgets_the_first(modules):
        return nn.Linear(modules[0].in_features, modules[-1].out_features)

    monkeypatch.setattr(sys.modules["prunus.shrink.lines"], "folded", forgets_the_first)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(VerifyError, match="the folded model differs from the straightened one"):
        prunus.prune(
            model, torch.randn(16, 4), budget=Budget(macs=0.5), granularity="activation",
            data=[torch.randn(16, 4)],
        )  # fmt: skip


def test_code_that_reads_a_layer_that_is_gone_is_told_so():
    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.act, self.down = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)

        def forward(self, x):
            return self.down(self.act(self.up(x)).to(self.down.weight.dtype))

    model, rows = Reads(), torch.randn(8, 4)
    with pytest.raises(VerifyError, match=r"the folded model does not run: .* 'weight'"):
        prunus.prune(
            model, rows, budget=Budget(macs=0.5), granularity="activation", data=[rows],
            in_place=True,
        )  # fmt: skip
    assert isinstance(model.down, nn.Linear)


def test_borders_that_differ_are_reported():
    model = nn.Sequential(nn.Conv2d(3, 16, 1), nn.ReLU(), nn.Conv2d(16, 3, 3, padding=1))
    result = pruned(model, budget=Budget(macs=0.7))
    agreement = result.report.agreement
    assert agreement.difference > agreement.tolerance
    assert "the padding inside 0 + 2 held zeros at the borders" in str(result.report)
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(result.model(IMAGES)[inside], result.masked()(IMAGES)[inside])


def test_where_nothing_can_become_one_the_report_says_so():
    model = nn.Sequential(
        nn.Linear(6, 2), nn.ReLU(), nn.Linear(2, 6), nn.ReLU(), nn.LayerNorm(6), nn.Linear(6, 6)
    )
    rows = torch.randn(8, 6)
    result = prunus.prune(
        model, rows, budget=Budget(units=1), granularity="activation", data=[rows]
    )
    assert result.report.after.macs == result.report.before.macs
    assert "no layers could become one where that lowers MACs" in str(result.report)


def test_functions_that_save_no_work_stay():
    layers = [nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 4), nn.Sigmoid(), nn.LayerNorm(4)]
    model = nn.Sequential(*layers, nn.Linear(4, 4))
    rows = torch.randn(64, 4) / 100  # the sigmoid is all but a line, and saves nothing
    result = prunus.prune(
        model, rows, budget=Budget(macs=0.5), granularity="activation", data=[rows]
    )
    assert [line.module for line in result.plan.lines] == ["1"]


def test_a_prelu_goes_with_its_slope():
    model = nn.Sequential(nn.Linear(4, 4), nn.PReLU(), nn.LayerNorm(4), nn.Linear(4, 2))
    rows = torch.randn(8, 4)
    with torch.no_grad():
        result = prunus.prune(
            model, rows, budget=Budget(params=0.99), granularity="activation", data=[rows]
        )
    assert result.report.before.params - result.report.after.params == 1


def test_types_and_flags_follow():
    model = Net().double().requires_grad_(requires_grad=False)
    images = IMAGES.double()
    data = [torch.randn(8, 3, 6, 6, dtype=torch.float64)]
    result = prunus.prune(
        model, images, budget=Budget(units=1), granularity="activation", data=data
    )
    assert all(p.dtype == torch.float64 for p in result.model.parameters())
    assert not any(p.requires_grad for p in result.model.parameters())


def test_what_cannot_be_met_says_what_holds_it():
    with pytest.raises(BudgetError, match=r"macs=0.01 cannot be met"):
        pruned(Net(), budget=Budget(macs=0.01))
    plain = nn.Sequential(nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 2))
    with pytest.raises(BudgetError, match=r"'1' .it reads '0', which cannot take up a line"):
        prunus.prune(
            plain,
            torch.ones(2, 6),
            budget=Budget(units=1),
            granularity="activation",
            data=[torch.ones(2, 6)],
        )


def test_an_optimizer_cannot_follow():
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(PlanError, match="the optimizer cannot follow"):
        pruned(model, optimizer=optimizer, in_place=True)
    assert isinstance(model.silu, nn.SiLU)


def test_what_needs_rounds_or_shares_is_refused():
    with pytest.raises(TrainError, match="activation functions are scored in one"):
        pruned(Net(), schedule=prunus.schedules.Iterative(rounds=2))
    with pytest.raises(PlanError, match="has nothing to share out"):
        pruned(Net(), allocation="uniform")
    with pytest.raises(TrainError, match="not pruned while a model is trained"):
        prunus.Pruner(Net(), IMAGES, budget=Budget(units=1), granularity="activation")
    with pytest.raises(CriterionError, match="cannot score activation functions such as 'relu'"):
        pruned(Net(), criterion="magnitude")


def test_two_plans_do_not_make_one():
    model = Net()
    plan = pruned(model).plan
    with pytest.raises(PlanError, match="make activation functions lines do not make one"):
        prunus.compose(plan, plan)


def test_a_plan_of_another_model_is_refused():
    plan = pruned(Net()).plan
    with pytest.raises(PlanError, match=r"there is no module '"):
        prunus.shrink(nn.Sequential(nn.Linear(2, 2)), plan)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("lines", [{"module": "a", "into": "b", "dim": 1, "scale": [1.0], "shift": []}], "'a' has"),
        ("folds", [{"modules": ["a"], "shapes": [[1]], "inexact_because": ""}], "a fold has other"),
        ("folds", [{"modules": ["a", "b"], "shapes": [[1], [0]], "inexact_because": ""}], "shape"),
    ],
)
def test_an_altered_plan_is_refused(field, value, words):
    data = plan_to_json(pruned(Net()).plan)
    with pytest.raises(SaveError, match=words):
        plan_from_json({**data, field: value})
