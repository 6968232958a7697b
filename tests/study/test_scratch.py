"""The small dense network: nothing of the trained weights is left, and it costs what it should."""

import pytest
import tiny
import torch
from torch import nn

from prunus.allocate import Budget
from prunus.errors import BudgetError, StudyError
from prunus.planner import Planner
from prunus.study.scratch import budget_of_same_cost, forget


def test_nothing_is_left_of_what_was_learnt() -> None:
    model = tiny.dense()
    before = tiny.state_of(model)

    forget(model)

    assert not any(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(model[1].running_mean, torch.zeros(12))


def test_the_random_state_decides() -> None:
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        weights.append(forget(tiny.network())[0].weight)

    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


class Zeroed(nn.Module):
    """Starts as people let residual branches start: at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.layer.weight)


def test_a_module_has_the_last_word_about_its_children() -> None:
    model = nn.Sequential(Zeroed())
    nn.init.ones_(model[0].layer.weight)

    assert not forget(model)[0].layer.weight.any()


def test_attention_is_forgotten_too() -> None:
    attention = nn.MultiheadAttention(4, 2)
    before = attention.in_proj_weight.clone()

    assert not torch.equal(forget(attention).in_proj_weight, before)


class Token(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.token = nn.Linear(2, 2), nn.Parameter(torch.ones(2))


def test_a_module_that_cannot_is_named_before_anything_is_forgotten() -> None:
    model = nn.Sequential(Token())
    before = tiny.state_of(model)

    with pytest.raises(StudyError, match=r"'0' \(Token\) cannot be initialised anew"):
        forget(model)

    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("budget", [Budget(params=0.5), Budget(sparsity=0.75), Budget(units=40)])
def test_where_weights_are_zeroed_it_has_as_many_as_are_left(budget: Budget) -> None:
    model = tiny.network()
    planner = Planner.of(
        model, torch.zeros(1, 8), budget=budget, granularity="weight", allocation="global"
    )

    left = budget_of_same_cost(planner).params

    others = sum(p.numel() for p in model.parameters() if p.dim() < 2)
    assert (
        left
        == {
            "params=0.5": int(0.5 * 327),
            "sparsity=0.75": int(0.25 * 327),
            "units=40": 40 + others,
        }[str(budget)]
    )


def test_where_channels_are_removed_it_has_the_same_budget() -> None:
    planner = Planner.of(tiny.network(), torch.zeros(1, 8), budget=Budget(macs=0.3))

    assert budget_of_same_cost(planner) == Budget(macs=0.3)


def test_a_budget_that_cannot_be_met_says_so() -> None:
    budget = Budget(params=0.01)
    planner = Planner.of(tiny.network(), torch.zeros(1, 8), budget=budget, granularity="weight")

    with pytest.raises(BudgetError, match=r"params=0.01 cannot be met"):
        budget_of_same_cost(planner)
