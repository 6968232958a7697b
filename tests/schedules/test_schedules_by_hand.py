"""Schedules with numbers that can be followed by hand."""

import pytest
import torch
from torch import nn

import prunus
from prunus import Budget, networks
from prunus.errors import TrainError
from prunus.planner import Planner
from prunus.schedules import (
    BudgetedRetraining,
    Cubic,
    Dynamic,
    Iterative,
    OneShot,
    Regrow,
    Rewind,
    Schedule,
    rescored,
)
from prunus.schedules.exchange import exchanged
from prunus.schedules.stages import budget_at


def test_cubic_follows_its_formula() -> None:
    schedule = Cubic(steps=100, every=25, begin=10, initial=0.1)
    gone = [round(1 - schedule.share(step, final=0.1), 6) for step in schedule.choices()]
    expected = [0.9 + (0.1 - 0.9) * (1 - t / 100) ** 3 for t in (0, 25, 50, 75, 100)]
    assert gone == [round(value, 6) for value in expected] == [0.1, 0.5625, 0.8, 0.8875, 0.9]


def test_the_last_choice_of_cubic_is_at_its_end() -> None:
    assert Cubic(steps=7, every=3).choices() == [0, 3, 6, 7]


def test_cubic_does_not_start_beyond_its_end() -> None:
    assert Cubic(steps=10, initial=0.8).share(0, final=0.5) == 0.5


def test_geometric_rounds_take_the_same_share_of_what_is_left() -> None:
    shares = [Iterative(rounds=3).share(step, final=0.512) for step in range(3)]
    assert shares == pytest.approx([0.8, 0.64, 0.512])


def test_linear_rounds_take_the_same_amount() -> None:
    schedule = Iterative(rounds=4, spacing="linear")
    shares = [schedule.share(step, final=0.2) for step in range(4)]
    assert shares == pytest.approx([0.8, 0.6, 0.4, 0.2])


def test_ten_rounds_of_a_fifth_leave_a_tenth() -> None:
    schedule = Rewind(rounds=10, length=100)
    assert schedule.share(100, final=0.8**10) == pytest.approx(0.8)
    assert schedule.share(1000, final=0.8**10) == 0.8**10


def test_rewinding_leaves_out_the_steps_before_the_early_one() -> None:
    schedule = Rewind(rounds=3, length=100, to=20)
    assert schedule.choices() == [100, 180, 260]
    assert schedule.total == 340
    assert schedule.at(20).remember and not schedule.at(100).remember
    assert schedule.at(180).restore and schedule.at(180).rewind == 20


def test_rewinding_the_rate_leaves_the_weights() -> None:
    schedule = Rewind(rounds=3, length=100, to=20, what="rate")
    assert not schedule.at(20).remember and not schedule.at(100).restore


def test_the_exchanged_share_falls_along_a_cosine() -> None:
    schedule = Dynamic(steps=400, every=100, alpha=0.3)
    shares = [schedule.at(step).regrow.share for step in (100, 200, 300)]
    assert shares == pytest.approx([0.15 * (1 + 0.5**0.5), 0.15, 0.15 * (1 - 0.5**0.5)])
    assert schedule.at(400).regrow is None


def test_the_rate_of_budgeted_retraining_falls_along_a_line() -> None:
    schedule = BudgetedRetraining(steps=4, begin=2, peak=2.0)
    rates = [schedule.at(step).rate for step in range(7)]
    assert rates == [None, None, 2.0, 1.5, 1.0, 0.5, None]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: OneShot(step=-1), "step is a whole number of at least 0"),
        (lambda: Iterative(rounds=0), "rounds is a whole number of at least 1"),
        (lambda: Iterative(spacing="log"), "spacing is one of geometric, linear"),
        (lambda: Cubic(steps=5, initial=1.0), "share that is gone at first"),
        (lambda: Rewind(rounds=1, length=5, to=5), "before the end of a training"),
        (lambda: Dynamic(steps=5, alpha=0), "share of weights that is exchanged"),
        (lambda: Dynamic(steps=5, grow="both"), "grow is one of gradient, random"),
        (lambda: BudgetedRetraining(steps=5, peak=0), "must be above 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong: object, words: str) -> None:
    with pytest.raises(TrainError, match=words):
        wrong()


# -- exchanging weights -----------------------------------------------------------------------


def exchange(weight: list[float], gradient: list[float] | None, works: str, share: float) -> str:
    after_U = exchanged(
        Regrow(share=share, by="random" if gradient is None else "gradient"),
        weight_U=torch.tensor(weight),
        gradient_U=None if gradient is None else torch.tensor(gradient),
        works_U=torch.tensor([letter == "x" for letter in works]),
    )
    return "".join("x" if works else "." for works in after_U)


def test_the_smallest_go_and_the_steepest_come() -> None:
    weight = [0.1, -5, 3, -0.2, 0, 0, 0, 0]
    gradient = [0, 9, 9, 0, 1, -4, 2, 3]
    assert exchange(weight, gradient, "xxxx....", 0.5) == ".xx..x.x"


def test_what_was_dropped_may_come_back_at_once() -> None:
    assert exchange([0.1, 5, 0], [7, 0, 1], "xx.", 0.5) == "xx."


def test_chance_keeps_the_number() -> None:
    after = exchange([1.0] * 40, None, "x" * 20 + "." * 20, 0.3)
    assert after.count("x") == 20 and after != "x" * 20 + "." * 20
    assert after == exchange([1.0] * 40, None, "x" * 20 + "." * 20, 0.3)


# -- budgets on the way -----------------------------------------------------------------------


def planner(**budget: object) -> Planner:
    return Planner.of(
        networks.mlp(in_features=4, width=10, classes=5),
        torch.ones(1, 1, 2, 2),
        budget=Budget(**budget),
        granularity="weight" if "sparsity" in budget else "channel",
    )


def test_every_target_is_approached_from_its_dense_figure() -> None:
    found = budget_at(planner(units=0.5, macs=100), Iterative(rounds=2, spacing="linear"), 0)
    assert found == Budget(units=15, macs=(190 + 100) // 2)  # 4 * 10 + 10 * 10 + 10 * 5 MACs


def test_at_the_end_it_is_the_budget_itself() -> None:
    asked = planner(sparsity=0.9)
    assert budget_at(asked, Cubic(steps=10), 10) == asked.budget
    assert budget_at(asked, Cubic(steps=10), 5).sparsity == pytest.approx(0.9 * 7 / 8, abs=0.01)


def test_at_first_there_may_be_none() -> None:
    assert budget_at(planner(units=0.5), Cubic(steps=10), 0) is None
    assert budget_at(planner(units=0.5), OneShot(step=3), 2) is None


# -- rounds without training ------------------------------------------------------------------


class Chained(nn.Module):
    """Two layers of single weights; the second of each pair is read only through the first."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(1, 2, bias=False)
        self.second = nn.Linear(2, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))


def flows(schedule: Schedule | None) -> prunus.Pruned:
    """Prune two paths, 0.1 * 9 and 1 * 1, by w * g; the loss is the output."""
    model = Chained()
    model.first.weight.data = torch.tensor([[0.1], [1.0]])
    model.second.weight.data = torch.tensor([[9.0, 1.0]])
    data = [(torch.ones(1, 1), torch.zeros(1))]
    return prunus.prune(
        model,
        data[0][0],
        budget=Budget(units=2),
        granularity="weight",
        criterion="taylor",
        schedule=schedule,
        data=data,
        loss=lambda outputs, _: outputs.sum(),
    )


def test_scoring_anew_sees_what_the_last_round_has_cut_off() -> None:
    kept = flows(Iterative(rounds=2, spacing="linear")).plan.kept
    assert not kept["first.weight"].mask()[0] and not kept["second.weight"].mask()[0]


def test_prune_leaves_the_model_alone_and_says_how_it_was_scheduled() -> None:
    model = networks.mlp()
    before = [parameter.clone() for parameter in model.parameters()]
    pruned = prunus.prune(
        model, torch.ones(1, 1, 8, 8), budget=Budget(units=0.5), schedule=Iterative(rounds=3)
    )
    assert all(map(torch.equal, before, model.parameters()))
    assert pruned.plan.provenance["schedule"].startswith("Iterative(rounds=3")
    assert sum(pruned.plan.counts.values()) == 64


def test_what_needs_a_training_is_refused_without_one() -> None:
    with pytest.raises(TrainError, match=r"prune does none\n.*\n.*prunus.Pruner"):
        rescored(planner(sparsity=0.5), Dynamic(steps=5))
