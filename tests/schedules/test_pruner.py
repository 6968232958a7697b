"""The Pruner in a training loop."""

import pytest
import torch
from torch import Tensor, nn

import prunus
from prunus import Budget, Pruner, networks
from prunus.errors import BudgetError, PlanError, TrainError
from prunus.schedules import BudgetedRetraining, Cubic, Dynamic, Iterative, OneShot, Rewind
from prunus.train.penalties import GReg1, GroupLasso, HardConcrete

ROWS = torch.ones(2, 4)


def line(*weights: float) -> nn.Linear:
    layer = nn.Linear(len(weights), 1, bias=False)
    layer.weight.data = torch.tensor([weights])
    return layer


def sgd(model: nn.Module, lr: float = 0.1, **settings: float) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=lr, **settings)


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, pruner: Pruner, steps: int, x: Tensor
) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        (model(x).square().mean() + pruner.penalty()).backward()
        optimizer.step()
        pruner.step()


def of_weights(model: nn.Module, **settings: object) -> Pruner:
    settings.setdefault("budget", Budget(sparsity=0.5))
    return Pruner(model, ROWS, granularity="weight", **settings)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_neither_momentum_nor_decay_revives_a_zero(momentum: float) -> None:
    model = line(1.0, 2, 3, 4)
    optimizer = sgd(model, momentum=momentum, weight_decay=0.1)
    pruner = of_weights(model, optimizer=optimizer, schedule=OneShot(step=3))
    train(model, optimizer, pruner, 6, torch.randn(8, 4))
    assert (model.weight == 0).sum() == 2
    assert optimizer.param_groups[0]["params"][0] is model.weight


def test_the_budget_is_known_to_be_out_of_reach_before_the_first_step() -> None:
    with pytest.raises(BudgetError, match="cannot be met"):
        Pruner(networks.mlp(), torch.ones(1, 1, 8, 8), budget=Budget(macs=0.001))


def test_finishing_early_is_refused() -> None:
    model = line(1.0, 2, 3, 4)
    pruner = of_weights(model, schedule=Cubic(steps=9))
    with pytest.raises(TrainError, match=r"not met yet.*last choice at step 9, and 0 steps"):
        pruner.finish()


def test_units_are_removed_at_the_end_and_training_goes_on() -> None:
    model = networks.resnet() if hasattr(networks, "resnet") else networks.lenet()
    images = torch.randn(4, 1, 8, 8)
    optimizer = sgd(model, lr=0.01, momentum=0.9)
    schedule = Cubic(steps=4, every=2)
    pruner = Pruner(model, images, budget=Budget(macs=0.5), schedule=schedule, optimizer=optimizer)
    train(model, optimizer, pruner, 5, images)
    pruned = pruner.finish()
    assert pruned.report.after.macs <= 0.5 * pruned.report.before.macs
    assert pruned.report.agreement is not None
    assert pruned.plan.provenance["schedule"] == repr(schedule)
    pruned.model(images).square().mean().backward()
    optimizer.step()
    assert pruned.masked()(images).shape == pruned.model(images).shape


@pytest.mark.parametrize("allocation", ["knapsack", "sensitivity", "lamp", "isomorphic", "erk"])
@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_every_allocation_ends_at_the_budget(allocation: str, granularity: str) -> None:
    model, images = networks.lenet(), torch.randn(4, 1, 8, 8)
    budget = Budget(units=0.4)
    optimizer = sgd(model, lr=0.01)
    pruner = Pruner(
        model, images, budget=budget, granularity=granularity, schedule=Cubic(steps=4, every=2),
        allocation=allocation, optimizer=optimizer, data=[(images, None)],
    )  # fmt: skip
    train(model, optimizer, pruner, 4, images)
    assert 0.4 - 0.01 <= pruner.kept <= 0.4


def test_the_share_kept_falls() -> None:
    model = line(*torch.arange(1.0, 101).tolist())
    pruner = Pruner(
        model, torch.ones(2, 100), budget=Budget(units=20), granularity="weight",
        schedule=Cubic(steps=2),
    )  # fmt: skip
    shares = [pruner.kept]
    for _ in range(2):
        pruner.step()
        shares.append(pruner.kept)
    assert shares == pytest.approx([1.0, 0.3, 0.2])


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.up(x).relu())


class Blocks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block() for _ in range(4)])
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


@pytest.mark.parametrize("in_place", [False, True])
def test_whole_blocks_go_and_leave_nothing_behind(*, in_place: bool) -> None:
    model = Blocks()
    optimizer = sgd(model, momentum=0.9)
    pruner = Pruner(
        model, ROWS, budget=Budget(units=2), granularity="layer", criterion="block_influence",
        data=[(ROWS, None)], schedule=Iterative(rounds=2, every=2), optimizer=optimizer,
    )  # fmt: skip
    train(model, optimizer, pruner, 3, ROWS)
    small = pruner.finish(in_place=in_place).model
    assert len(small.blocks) == 2
    assert not any("forward" in vars(module) for module in (*model.modules(), *small.modules()))
    before = small.head.weight.clone()
    small(ROWS).square().mean().backward()
    optimizer.step()
    assert not torch.equal(small.head.weight, before)


# -- penalties --------------------------------------------------------------------------------


def test_the_penalty_works_until_the_cut_and_has_no_gradient() -> None:
    model = line(4.0, 3, 2, 1)
    optimizer = sgd(model, lr=0.5)
    pruner = of_weights(
        model, optimizer=optimizer, schedule=OneShot(step=2), penalty=GroupLasso(strength=0.5)
    )
    assert pruner.penalty().item() == 5.0 and not pruner.penalty().requires_grad
    train(model, optimizer, pruner, 3, torch.zeros(1, 4))
    assert model.weight.tolist() == [[3.5, 2.5, 0, 0]]  # two steps of 0.5 * 0.5, then the cut
    assert pruner.penalty().item() == 0


@pytest.mark.parametrize(
    "settings",
    [{"penalty": GroupLasso()}, {"schedule": BudgetedRetraining(steps=3)}],
    ids=["penalty", "rate"],
)
def test_what_goes_by_the_optimizer_asks_for_it(settings: dict[str, object]) -> None:
    with pytest.raises(TrainError, match=r"needs the optimizer(.|\n)*optimizer="):
        of_weights(line(1.0, 2, 3, 4), **settings)


def test_a_growing_penalty_grows_until_the_cut() -> None:
    model = line(4.0, 3, 2, 1)
    optimizer, penalty = sgd(model, lr=1.0), GReg1(strength=1.0, raises=2)
    pruner = of_weights(model, optimizer=optimizer, schedule=OneShot(step=2), penalty=penalty)
    train(model, optimizer, pruner, 2, torch.zeros(1, 4))  # w / (1 + 0.5), then w / (1 + 1)
    assert model.weight.flatten().tolist() == pytest.approx([4 / 3, 1, 0, 0])


def test_gates_are_resumed() -> None:
    ends = []
    for stop in (False, True):
        model = line(4.0, 3, 2, 1)
        optimizer = sgd(model, lr=0.5)
        settings = {"schedule": OneShot(step=20), "penalty": HardConcrete(strength=5.0)}
        pruner = of_weights(model, optimizer=optimizer, **settings)
        train(model, optimizer, pruner, 4, torch.zeros(1, 4))
        if stop:
            state = pruner.state_dict()
            pruner = of_weights(model, optimizer=optimizer, **settings)
            pruner.load_state_dict(state)
        train(model, optimizer, pruner, 4, torch.zeros(1, 4))
        ends.append(model.weight.detach().clone())
    assert torch.equal(*ends)
    assert (ends[0] < line(4.0, 3, 2, 1).weight).all()


# -- rewinding, rates -------------------------------------------------------------------------


def test_weights_go_back_to_the_early_step_with_the_mask_on() -> None:
    model = line(1.0, 2, 3, 4)
    optimizer = sgd(model, lr=0.01, momentum=0.9)
    pruner = of_weights(model, optimizer=optimizer, schedule=Rewind(rounds=1, length=3, to=1))
    train(model, optimizer, pruner, 1, ROWS)
    early = model.weight.detach().clone()
    train(model, optimizer, pruner, 2, ROWS)
    assert pruner.clock == 1 and pruner.steps == 3
    assert torch.equal(model.weight.detach(), early * torch.tensor([[0.0, 0, 1, 1]]))
    assert not optimizer.state


def test_rewinding_the_rate_moves_the_clock_alone() -> None:
    model = line(1.0, 2, 3, 4)
    optimizer = sgd(model, lr=0.01, momentum=0.9)
    schedule = Rewind(rounds=1, length=3, to=1, what="rate")
    pruner = of_weights(model, optimizer=optimizer, schedule=schedule)
    train(model, optimizer, pruner, 4, ROWS)
    assert pruner.clock == 2
    assert optimizer.state


def test_budgeted_retraining_sets_the_rate_of_every_group() -> None:
    model = nn.Sequential(line(1.0, 2, 3, 4), nn.Linear(1, 1))
    parameters = [{"params": model[0].parameters(), "lr": 0.4}, {"params": model[1].parameters()}]
    optimizer = torch.optim.SGD(parameters, lr=0.8)
    pruner = of_weights(model, optimizer=optimizer, schedule=BudgetedRetraining(steps=4))
    seen = []
    for _ in range(4):
        seen.append([group["lr"] for group in optimizer.param_groups])
        train(model, optimizer, pruner, 1, ROWS)
    assert seen == [pytest.approx([0.4 * s, 0.8 * s]) for s in (1, 0.75, 0.5, 0.25)]


# -- RigL -------------------------------------------------------------------------------------


@pytest.mark.parametrize("grow", ["gradient", "random"])
def test_as_many_weights_work_throughout_and_new_ones_learn(grow: str) -> None:
    model = networks.mlp(in_features=16, width=16, classes=4)
    x = torch.randn(32, 1, 4, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    pruner = Pruner(
        model, x, budget=Budget(sparsity=0.6), granularity="weight", criterion="random",
        allocation="erk", optimizer=optimizer, schedule=Dynamic(steps=12, every=3, grow=grow),
    )  # fmt: skip
    numbers, before = dict(pruner.plan.counts), pruner.plan.kept
    for _ in range(12):
        train(model, optimizer, pruner, 1, x)
        assert pruner.plan.counts == numbers
    assert any(not torch.equal(before[n].bits, kept.bits) for n, kept in pruner.plan.kept.items())
    left = sum(int((model.get_parameter(name) != 0).sum()) for name in numbers)
    assert left >= 0.9 * sum(numbers.values())


def test_what_grows_starts_without_momentum() -> None:
    model = line(1.0, 2, 3, 4)
    optimizer = sgd(model, lr=1e-6, momentum=0.9)
    pruner = of_weights(model, optimizer=optimizer, schedule=Dynamic(steps=9, every=1, alpha=1.0))
    assert model.weight.tolist() == [[0, 0, 3, 4]]
    train(model, optimizer, pruner, 1, torch.tensor([[9.0, 1, 1, 1]]))
    assert pruner.plan.kept["weight"].mask()[0]
    momentum = optimizer.state[model.weight]["momentum_buffer"]
    assert momentum[0, 0] == 0 and momentum[0, 3] != 0


def test_growing_without_gradients_says_where_to_step() -> None:
    pruner = of_weights(line(1.0, 2, 3, 4), schedule=Dynamic(steps=9, every=1))
    with pytest.raises(TrainError, match=r"no gradient to grow by\n.*before zero_grad"):
        pruner.step()


def test_channels_are_not_exchanged() -> None:
    with pytest.raises(TrainError, match="granularity='weight'"):
        Pruner(
            networks.mlp(), torch.ones(1, 1, 8, 8), budget=Budget(units=0.5),
            schedule=Dynamic(steps=9),
        )  # fmt: skip


# -- resuming ---------------------------------------------------------------------------------


def test_a_state_goes_into_a_pruner_of_a_model_that_was_loaded_before() -> None:
    model = line(4.0, 3, 2, 1)
    pruner = of_weights(model)
    state = pruner.state_dict()
    model.weight.data.mul_(-1)

    resumed = of_weights(again := line(*model.weight.flatten().tolist()))
    resumed.load_state_dict(state)
    assert torch.equal(again.weight, model.weight)


def test_a_first_mask_is_undone_where_the_state_says_otherwise() -> None:
    model = line(1.0, 2, 3, 4)
    state = of_weights(line(4.0, 3, 2, 1)).state_dict()
    of_weights(model).load_state_dict(state)
    assert model.weight.tolist() == [[1.0, 2, 0, 0]]


def test_a_state_of_other_settings_is_refused() -> None:
    state = of_weights(line(4.0, 3, 2, 1)).state_dict()
    other = of_weights(line(4.0, 3, 2, 1), budget=Budget(sparsity=0.25))
    with pytest.raises(PlanError, match=r"a Pruner with budget=sparsity=0.5, this one has .*0.25"):
        other.load_state_dict(state)


def test_a_state_is_loaded_before_the_first_step() -> None:
    pruner = of_weights(line(4.0, 3, 2, 1))
    pruner.step()
    with pytest.raises(TrainError, match="cannot be loaded after 1 steps"):
        pruner.load_state_dict(pruner.state_dict())


def test_scoring_leaves_the_gradients_of_the_loop_alone() -> None:
    model, data = networks.mlp(), [(torch.randn(8, 1, 8, 8), torch.randint(10, (8,)))]
    loss = nn.CrossEntropyLoss()
    pruner = Pruner(
        model, data[0][0], budget=Budget(units=0.5), criterion="taylor", data=data, loss=loss,
        schedule=OneShot(step=1),
    )  # fmt: skip
    loss(model(data[0][0]), data[0][1]).backward()
    before = [parameter.grad.clone() for parameter in model.parameters()]
    pruner.step()
    assert all(map(torch.equal, before, [parameter.grad for parameter in model.parameters()]))
    assert prunus.Masked(model, pruner.plan)


def test_a_solver_has_no_rounds() -> None:
    model, images = networks.mlp(), torch.ones(1, 1, 8, 8)
    settings = {"budget": Budget(sparsity=0.5), "granularity": "weight", "criterion": "sparsegpt"}
    with pytest.raises(TrainError, match="cannot be used while a model is trained"):
        Pruner(model, images, **settings)
    with pytest.raises(TrainError, match="chooses all at once"):
        prunus.prune(model, images, schedule=Cubic(steps=4), data=[(images, None)], **settings)


@pytest.mark.parametrize("granularity", ["2:4", "1x4"])
def test_slots_and_blocks_are_masked_along_a_schedule(granularity: str) -> None:
    model, images = networks.mlp(), torch.ones(4, 1, 8, 8)
    budget = None if granularity == "2:4" else Budget(sparsity=0.5)
    schedule = OneShot(step=1) if granularity == "2:4" else Cubic(steps=3)
    optimizer = sgd(model, weight_decay=0.1)
    pruner = Pruner(
        model, images, budget=budget, granularity=granularity, schedule=schedule,
        optimizer=optimizer,
    )  # fmt: skip
    train(model, optimizer, pruner, 4, images)
    whole = prunus.prune(networks.mlp(), images, budget=budget, granularity=granularity)
    assert pruner.finish().report.after.nonzero <= whole.report.after.nonzero
