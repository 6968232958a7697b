"""A budget of latency, from the table to the report. No test looks at a clock."""

import pytest
import torch
from pretended import pretended_table
from torch import nn

import prunus
from prunus import Budget, api, networks
from prunus.cost import CostModel
from prunus.errors import BudgetError
from prunus.records import Latency
from prunus.schedules import Cubic, Iterative
from prunus.trace import trace

IMAGES, ROWS = torch.randn(4, 1, 8, 8), torch.randn(16, 4)
ALLOCATIONS = ("uniform", "global", "isomorphic", "knapsack")


def two_layers():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


@pytest.fixture
def as_measured(monkeypatch):
    """The models take these milliseconds, whatever they do."""

    def pretend(dense, small):
        times = [Latency(t, t, t, 15, 16, torch.get_num_threads(), "cpu") for t in (dense, small)]
        monkeypatch.setattr(api, "measure_latencies", lambda *_, **__: times)
        monkeypatch.setattr(api, "measure_latency", lambda *_, **__: times[1])

    return pretend


def pruned(budget, *, model=None, inputs=ROWS, **settings):
    model = two_layers() if model is None else model
    table = pretended_table(model, inputs, milliseconds=400)
    return prunus.prune(model, inputs, budget=budget, latency_table=table, **settings)


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("build", [networks.lenet, lambda: networks.resnet(width=8)])
def test_every_allocation_meets_it(build, allocation):
    model = build()
    table = pretended_table(model, IMAGES, milliseconds=1000)
    cost = CostModel(trace(model, IMAGES), table=table)
    result = prunus.prune(
        model, IMAGES, budget=Budget(latency=0.6), allocation=allocation, latency_table=table
    )
    predicted = cost.latency(result.plan.counts)
    assert 0.5 * cost.latency({}) < predicted <= 0.6 * cost.latency({})
    assert result.report.agreement.difference <= result.report.agreement.tolerance


def test_the_units_that_stay_by_hand():
    # At width n the parts read 39 n + 66 numbers; of 400 ms they leave a rest of 22 at n = 8.
    kept = pruned(Budget(latency="300 ms")).plan.counts
    assert kept == {"0": 5}  # 39 * 5 + 66 + 22 = 283; 6 would take 322


@pytest.mark.parametrize("budget", [Budget(latency=0.75), Budget(latency="300ms")])
def test_a_fraction_and_a_time_mean_the_same(budget):
    assert pruned(budget).plan.counts == {"0": 5}


def test_it_holds_together_with_others():
    assert pruned(Budget(latency=0.75, units=0.5)).plan.counts == {"0": 4}
    assert pruned(Budget(latency=0.75, multiple_of=4)).plan.counts == {"0": 4}


def test_plan_and_report_say_what_was_predicted_and_what_was_measured(as_measured):
    as_measured(10.0, 7.1)
    result = pruned(Budget(latency=0.75))

    assert result.plan.provenance["predicted_latency_ms"] == pytest.approx(283)
    assert (result.report.before.latency.median, result.report.after.latency.median) == (10, 7.1)
    (note,) = result.report.notes
    assert note == "predicted latency: 283 ms, 70.8 % of dense; measured: 7.1 ms, 71.0 %"
    assert "latency       10 ms     7.1 ms  71.0 %" in str(result.report)


def test_a_prediction_that_misses_is_said(as_measured):
    as_measured(10.0, 9.9)
    assert "the prediction misses: the model is 40% slower" in str(
        pruned(Budget(latency=0.75)).report
    )


def test_in_place_the_dense_model_is_as_the_table_says(as_measured):
    as_measured(1.0, 300.0)
    report = pruned(Budget(latency=0.75), in_place=True).report
    assert report.before.latency.median == pytest.approx(400)
    assert "measured: 300 ms, 75.0 %" in report.notes[0]


def test_a_table_without_a_budget_of_latency_predicts_all_the_same(as_measured):
    as_measured(10.0, 5.0)
    assert pruned(Budget(units=0.5)).plan.provenance["predicted_latency_ms"] == pytest.approx(244)


def test_without_a_table_it_is_measured(monkeypatch, as_measured):
    as_measured(10.0, 7.0)
    model, asked = two_layers(), []
    table = pretended_table(model, ROWS, milliseconds=400)
    monkeypatch.setattr("prunus.planner.measure_table", lambda *_: asked.append(1) or table)

    assert prunus.prune(model, ROWS, budget=Budget(latency=0.75)).plan.counts == {"0": 5}
    prunus.prune(model, ROWS, budget=Budget(units=0.5))
    assert asked == [1]


def test_whole_layers_go():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 8)

        def forward(self, x):
            return x + torch.relu(self.fc(x))

    model = nn.Sequential(nn.Linear(4, 8), *(Residual() for _ in range(4)), nn.Linear(8, 2))
    table = pretended_table(model, ROWS, milliseconds=3000)
    block = (8 + 128 + 64) + 128 + 256  # numbers read: linear, ReLU, add
    share = 1 - 2 * block / 3000
    settings = {"granularity": "layer", "latency_table": table, "data": [(ROWS, None)]}
    result = prunus.prune(model, ROWS, budget=Budget(latency=share + 1e-3), **settings)
    assert list(result.plan.counts.values()) == [2]


def test_it_is_approached_step_by_step():
    assert pruned(Budget(latency=0.75), schedule=Iterative(rounds=3)).plan.counts == {"0": 5}


def test_it_is_approached_in_a_training_loop():
    model = two_layers()
    pruner = prunus.Pruner(
        model, ROWS, budget=Budget(latency=0.75), schedule=Cubic(steps=4),
        latency_table=pretended_table(model, ROWS, milliseconds=400),
    )  # fmt: skip
    for _ in range(5):
        pruner.step()
    result = pruner.finish()
    assert result.plan.counts == {"0": 5}
    assert result.report.notes[0].startswith("predicted latency: 283 ms")


@pytest.mark.parametrize(
    "granularity", ["weight", "4x1", "2:4", "activation", "activation_channel"]
)
def test_where_nothing_gets_faster_it_is_refused(granularity, monkeypatch):
    monkeypatch.setattr("prunus.planner.measure_table", None)  # nothing is measured for it
    with pytest.raises(BudgetError, match=r"latency=0\.6 has no meaning at gran") as caught:
        prunus.prune(two_layers(), ROWS, budget=Budget(latency=0.6), granularity=granularity)
    assert caught.value.why
    assert "granularity=" in caught.value.hint


def test_out_of_reach_it_says_how_far_one_can_go():
    with pytest.raises(BudgetError) as caught:
        pruned(Budget(latency="50 ms"))
    assert str(caught.value) == (
        "latency=50 ms cannot be met: the smallest model that keeps 1 unit per group has 0.318 of "
        "the latency (127 ms of 400 ms)\n"
        "  why:  2 of 3 groups are frozen: '2' (model output), '0.in' (model input); and every "
        "operator takes some time, however few units it has\n"
        '  hint: ask for latency>="127000 us", or free a group: prunus.explain(model, '
        "example_inputs) shows them all, or measure at a larger batch, of which less is fixed"
    )


def test_a_table_of_another_model_is_refused():
    table = pretended_table(two_layers(), ROWS, milliseconds=400)
    with pytest.raises(BudgetError, match="the latency table is of another model"):
        prunus.prune(networks.mlp(), IMAGES, budget=Budget(latency=0.6), latency_table=table)


def test_a_table_of_another_kind_is_named():
    with pytest.raises(
        BudgetError, match=r"latency_table='latency.json' means nothing\n.*\n.*load_"
    ):
        prunus.prune(two_layers(), ROWS, budget=Budget(latency=0.6), latency_table="latency.json")
