"""From a model and a budget to a plan that the model runs under."""

import pytest
import torch
from models import Net, linear
from torch import nn

import prunus
from prunus import Budget, networks
from prunus.criteria import RIA, Shuffled
from prunus.errors import BudgetError, CriterionError, PlanError, TraceError
from prunus.planner import Planner

ROWS = torch.ones(2, 6)


def planner(model, inputs=ROWS, **settings):
    settings.setdefault("budget", Budget(units=0.5))
    return Planner.of(model, inputs, **settings)


def chosen(model, inputs=ROWS, **settings):
    found = planner(model, inputs, **settings)
    return found.choose(found.scores())


def layers():
    return {"a": linear(6, 8), "b": linear(8, 8), "c": linear(8, 4)}


def test_a_plan_meets_its_budget():
    plan, groups = chosen(networks.mlp(), torch.ones(1, 64), budget=Budget(params=0.5))
    assert set(plan.counts) == {"1", "3"}
    assert groups["1"].frozen_because is None


def test_a_model_without_units_has_them_elsewhere():
    with pytest.raises(BudgetError, match="no group of units") as caught:
        chosen(networks.mlp(), torch.ones(1, 64), granularity="head")
    assert caught.value.why.startswith("it has no units of granularity 'head'; it has units to")
    assert "channel" in caught.value.why and "expert" not in caught.value.why


def test_the_plan_names_all_that_it_touches_and_nothing_else():
    plan, _ = chosen(Net(lambda net, x: net.c(net.b(net.a(x))), layers()), exclude=["b"])

    assert plan.kept.keys() == {"a"}
    assert plan.tensors.keys() == {"a.weight", "a.bias", "b.weight"}
    assert {(a.module, a.attribute) for a in plan.attributes} == {
        ("a", "out_features"),
        ("b", "in_features"),
    }


def test_provenance_says_how_the_plan_was_made():
    plan, _ = chosen(nn.Sequential(linear(6, 8), linear(8, 4)))

    assert plan.provenance["criterion"] == "Magnitude(p=2)"
    assert plan.provenance["budget"] == "units=0.5"
    assert {"prunus", "torch", "python", "allocation", "granularity"} <= plan.provenance.keys()


def test_single_weights_leave_the_shapes_alone():
    model = nn.Sequential(linear(6, 8), linear(8, 4))
    plan, _ = chosen(model, granularity="weight", budget=Budget(sparsity=0.5))

    assert plan.tensors == {}
    assert plan.attributes == ()
    assert plan.kept.keys() == {"0.weight", "1.weight"}


def hidden(size):
    """A model with a size that only a run with other sizes brings to light."""

    def forward(net, x):
        y = net.a(x)
        if int(y.shape[1]) != size:
            raise ValueError(f"I want {size}")
        return net.e(net.d(net.c(net.b(y)).relu()))

    return Net(forward, layers() | {"d": linear(4, 9), "e": linear(9, 4)})


def test_what_a_run_brings_to_light_is_frozen_and_the_plan_made_again():
    plan, groups = chosen(hidden(8), budget=Budget(units=0.8))

    assert groups["a"].frozen_because.endswith("ValueError: I want 8")
    assert plan.kept.keys() == {"b", "c", "d"}


def test_a_budget_that_the_rest_cannot_meet_names_what_holds_it():
    with pytest.raises(BudgetError, match="I want 8"):
        chosen(hidden(8), budget=Budget(params=0.3))


def test_a_divergence_that_nothing_explains():
    def forward(net, x):
        """It does something else where no axis is near, and only if two are cut."""
        both = net.a.weight.shape[0] * net.b.weight.shape[0] < 30
        x = x.relu() if both else x.tanh()
        return net.c(net.b(net.a(x)))

    model = Net(forward, layers())
    with pytest.raises(TraceError, match=r"cannot be pruned: .*'relu' runs") as caught:
        chosen(model)
    assert "exclude=" in caught.value.hint


def test_a_model_with_nothing_to_prune():
    with pytest.raises(BudgetError, match="no group of the model may lose units"):
        chosen(linear(6, 8))


def test_an_unknown_criterion():
    with pytest.raises(CriterionError, match="there is no criterion 'magnitud'") as caught:
        planner(linear(6, 8), criterion="magnitud")
    assert caught.value.hint == "did you mean 'magnitude'?"


def test_an_unknown_allocation():
    with pytest.raises(BudgetError, match="there is no allocation 'globl'") as caught:
        planner(linear(6, 8), allocation="globl")
    assert "'global'" in caught.value.hint


def test_an_unknown_granularity():
    with pytest.raises(PlanError, match="there is no granularity 'channels'"):
        planner(linear(6, 8), granularity="channels")


def test_weights_that_are_not_finite():
    model = nn.Sequential(linear(6, 8), linear(8, 4))
    model[0].weight.data[3, 2] = float("nan")
    with pytest.raises(CriterionError, match=r"1 of 48 weights in parameter '0\.weight' are NaN"):
        chosen(model)


@pytest.mark.parametrize("criterion", ["gradient", "taylor"])
def test_a_criterion_that_needs_data(criterion):
    with pytest.raises(CriterionError, match="needs data and loss, but none was given") as caught:
        chosen(nn.Sequential(linear(6, 8), linear(8, 4)), criterion=criterion)
    assert caught.value.hint == "pass data=loader, loss=nn.CrossEntropyLoss()"


def test_scores_are_those_of_the_weights_as_they_are_now():
    model = nn.Sequential(linear(6, 8), linear(8, 4))
    found = planner(model)
    first = found.scores()["0"].clone()
    model[0].weight.data *= 2

    assert (found.scores()["0"] > first).all()


@pytest.mark.parametrize(
    ("criterion", "granularity"),
    [
        ("wanda", "weight"), ("ria", "weight"), ("sparsegpt", "weight"),
        (Shuffled(of=RIA()), "weight"), ("wanda", "4x1"), ("ria", "4x1"),
    ],
)  # fmt: skip
def test_what_papers_prune_layer_by_layer_takes_the_same_share_of_each(criterion, granularity):
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4))
    with torch.no_grad():
        model[2].weight.mul_(10)
    rows = torch.randn(64, 8)
    pruned = prunus.prune(
        model, rows, budget=prunus.Budget(units=0.5), criterion=criterion, granularity=granularity,
        data=[rows],
    )  # fmt: skip
    assert {kept.count / kept.size for kept in pruned.plan.kept.values()} == {0.5}
    assert "Uniform" in pruned.plan.provenance["allocation"]


def test_wanda_takes_the_same_share_of_every_output_and_a_named_allocation_holds():
    model, rows = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4)), torch.randn(64, 8)
    settings = {"budget": prunus.Budget(units=0.5), "granularity": "weight", "data": [rows]}
    pruned = prunus.prune(model, rows, criterion="wanda", **settings)
    kept = [(layer.weight != 0).sum(1).tolist() for layer in pruned.model[::2]]
    assert kept == [[4] * 6, [3] * 4]
    pruned = prunus.prune(model, rows, criterion="ria", allocation="global", **settings)
    assert len({kept.count / kept.size for kept in pruned.plan.kept.values()}) == 2
