"""A solver in place of a criterion, from `prune` to file and study."""

import pytest
import torch
from torch import nn

import prunus
from prunus.errors import CriterionError, DataError, PlanError
from prunus.planner import scorer_of
from prunus.solvers import SparseGPT
from prunus.study.strategy import chosen

ROWS = torch.randn(64, 16) @ (torch.eye(16) + 0.3 * torch.randn(16, 16))
DATA = [(ROWS, None)]
HALF = prunus.Budget(units=0.5)


class Net(nn.Module):
    """Layers that can be solved, one whose weight no layer reads, and attention."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(16, 32)
        self.bare = nn.Parameter(torch.randn(32, 16) / 6)
        self.last = nn.Linear(16, 8)

    def forward(self, x):
        return self.last((self.first(x).relu() @ self.bare).relu())


def network():
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))


def solved(model, **settings):
    settings = {"granularity": "weight", "budget": HALF, "data": DATA, **settings}
    return prunus.prune(model, ROWS[:2], criterion="sparsegpt", **settings)


def lost(model, other):
    with torch.no_grad():
        return float((model(ROWS) - other(ROWS)).square().mean())


def test_better_than_magnitude_at_the_same_budget():
    dense = network()
    cut = prunus.prune(dense, ROWS[:2], granularity="weight", budget=HALF, allocation="uniform")
    pruned = solved(dense)
    assert pruned.plan.counts == cut.plan.counts == {"0.weight": 256, "2.weight": 128}
    assert lost(pruned.model, dense) < 0.8 * lost(cut.model, dense)
    assert pruned.report.after.nonzero == cut.report.after.nonzero


def test_slots():
    pruned = solved(network(), granularity="2:4", budget=None)
    kept = (pruned.model[0].weight != 0).unflatten(1, (-1, 4)).sum(2)
    assert (kept == 2).all()
    assert pruned.plan.granularity == "2:4"


def test_the_report_says_what_solved():
    pruned = solved(network())
    assert pruned.report.provenance["criterion"] == "SparseGPT(block=16, damping=0.01)"
    assert {"score", "choose", "solve"} <= pruned.report.seconds.keys()
    assert pruned.report.agreement is None


def test_the_allocation_shares_out_and_the_solver_chooses():
    dense = network()
    dense[2].weight.data *= 0.01
    pruned = solved(dense, allocation="global")
    by_magnitude = prunus.prune(dense, ROWS[:2], granularity="weight", budget=HALF)
    assert pruned.plan.counts == by_magnitude.plan.counts
    assert pruned.plan.counts["2.weight"] < 10


def test_the_masked_twin_has_the_new_weights():
    pruned = solved(network())
    twin = pruned.masked()
    assert twin is not pruned.model
    assert torch.equal(twin(ROWS), pruned.model(ROWS))


def test_what_no_layer_reads_is_frozen():
    pruned = solved(Net(), budget=prunus.Budget(sparsity=0.3))
    rows = {row.name: row.frozen_because for row in pruned.report.groups}
    assert rows["first.weight"] is None
    assert rows["bare"].startswith("no linear layer or convolution of its own")
    assert (pruned.model.bare != 0).all()


def test_excluded_layers_stay_dense():
    dense = network()
    pruned = solved(dense, exclude=["2"])
    assert torch.equal(pruned.model[2].weight, dense[2].weight)


def test_the_model_is_untouched_unless_in_place():
    dense = network()
    before = dense[0].weight.clone()
    pruned = solved(dense)
    assert torch.equal(dense[0].weight, before)
    again = solved(dense, in_place=True)
    assert again.model is dense
    assert torch.equal(dense[0].weight, pruned.model[0].weight)


def test_after_an_error_a_model_in_place_is_as_it_was():
    dense = network()
    before = dense[0].weight.clone()
    once = iter(DATA)
    with pytest.raises(DataError, match="already read to its end"):
        solved(dense, data=once, in_place=True)
    assert torch.equal(dense[0].weight, before)


def test_an_optimizer_goes_on_with_the_result():
    dense = network()
    optimizer = torch.optim.SGD(dense.parameters(), lr=0.1, momentum=0.9)
    pruned = solved(dense, optimizer=optimizer)
    prunus.Masked(pruned.model, pruned.plan).hold(optimizer)
    pruned.model(ROWS).square().mean().backward()
    before = pruned.model[0].weight.detach().clone()
    optimizer.step()
    assert not torch.equal(pruned.model[0].weight, before)
    assert int((pruned.model[0].weight != 0).sum()) == pruned.plan.counts["0.weight"]


def test_saved_and_loaded(tmp_path):
    pruned = solved(network())
    prunus.save(pruned, tmp_path / "solved")
    loaded = prunus.load(tmp_path / "solved", model=network())
    assert torch.equal(loaded(ROWS), pruned.model(ROWS))


@pytest.mark.parametrize("granularity", ["channel", "4x1"])
def test_granularities_that_it_does_not_solve(granularity):
    with pytest.raises(PlanError, match=r"SparseGPT\(.*\) does not prune at") as caught:
        solved(network(), granularity=granularity)
    assert caught.value.hint == "granularity='weight' or granularity='2:4'"


def test_without_data():
    with pytest.raises(CriterionError, match="needs data, but none was given"):
        solved(network(), data=None)


def test_names_of_criteria_and_solvers_are_offered_together():
    assert scorer_of("sparsegpt")[1] == SparseGPT()
    assert scorer_of(SparseGPT(block=4))[1] == SparseGPT(block=4)
    with pytest.raises(CriterionError, match="there is no criterion 'sparsgpt'") as caught:
        scorer_of("sparsgpt")
    assert caught.value.hint == "did you mean 'sparsegpt'?"


def test_a_study_knows_solvers_by_name():
    strategy = chosen(["sparsegpt"], "weight")[0]
    assert (strategy.name, strategy.kind, strategy.needs) == ("sparsegpt", "pruned", ("data",))
    assert strategy.criterion_for(3) == SparseGPT()
