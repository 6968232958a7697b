import copy

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from prunus.data import Batches, Examples
from prunus.errors import DataError, TrainError
from prunus.networks import resnet
from prunus.train import Epoch, History, Hook, Recipe, Step, fit

CROSS_ENTROPY = nn.CrossEntropyLoss()


def examples(items: int = 24) -> Examples:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(items, 1, 8, 8, generator=generator)
    return Examples(inputs, torch.arange(items) % 3)


def batches(**settings) -> Batches:
    return Batches(examples(), batch_size=8, shuffle=True, **settings)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(resnet(width=4, classes=8), nn.Dropout(0.2), nn.Linear(8, 3))


def trained(model: nn.Module | None = None, data=None, **settings) -> tuple[nn.Module, History]:
    model = model or network()
    recipe = Recipe(epochs=2, lr=0.05, **settings)
    data = batches() if data is None else data
    return model, fit(model, data, loss=CROSS_ENTROPY, recipe=recipe)


# -- what it does -----------------------------------------------------------------------------


def test_one_step_of_sgd_by_hand():
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    recipe = Recipe(epochs=1, lr=0.1, weight_decay=0.5, warmup=0.0)
    fit(model, [(torch.tensor([[2.0]]), None)], loss=lambda y, _: y.sum(), recipe=recipe)
    # The gradient is 2, and 0.5 * 1 of weight decay.
    assert model.weight.item() == pytest.approx(1 - 0.1 * 2.5)


def test_the_loss_falls():
    _, history = trained()
    assert history.epochs[-1].loss < history.epochs[0].loss


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_same_seed_same_bits(optimizer):
    (one, first), (other, second) = (trained(optimizer=optimizer) for _ in range(2))
    for mine, theirs in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)
    assert [epoch.loss for epoch in first.epochs] == [epoch.loss for epoch in second.epochs]


def test_same_bits_whatever_was_read_or_drawn_before():
    (one, _), data = trained(), batches()
    for _ in data:
        torch.rand(1)
    other, _ = trained(data=data)
    assert torch.equal(one[2].weight, other[2].weight)


def test_another_seed_draws_another_dropout():
    models = [network(), network()]
    for seed, model in enumerate(models):
        fit(model, batches(), loss=CROSS_ENTROPY, recipe=Recipe(epochs=1), seed=seed)
    assert not torch.equal(models[0][2].weight, models[1][2].weight)


def test_data_loaders_that_shuffle_follow_the_seed():
    weights = []
    for _ in range(2):
        torch.rand(1)  # moves the caller's random state, which must not matter
        data = DataLoader(TensorDataset(*examples()), batch_size=8, shuffle=True)
        state = torch.get_rng_state()
        model = network()
        torch.set_rng_state(state)
        weights.append(trained(model, data)[0][2].weight)
    assert torch.equal(*weights)


def test_random_state_flags_and_gradients_of_the_caller_are_untouched():
    model = network().eval()
    model[0].train()
    flags = [module.training for module in model.modules()]
    before = torch.get_rng_state()
    trained(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert [module.training for module in model.modules()] == flags
    assert all(parameter.grad is None for parameter in model.parameters())


def test_trains_in_training_mode():
    model = network().eval()
    trained(model)
    assert model[0].stem[1].num_batches_tracked == 6


def test_clipped_gradients_have_the_norm_asked_for():
    model = nn.Linear(2, 1, bias=False)
    before = model.weight.detach().clone()
    data = [(torch.tensor([[30.0, 40.0]]), None)]
    recipe = Recipe(epochs=1, lr=1.0, warmup=0.0, weight_decay=0.0, clip_norm=0.5)
    fit(model, data, loss=lambda y, _: y.sum(), recipe=recipe)
    torch.testing.assert_close(before - model.weight, torch.tensor([[0.3, 0.4]]))


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, a, b):
        return {"sum": self.linear(a + b)}


@pytest.mark.parametrize("form", [lambda a, b: (a, b), lambda a, b: {"a": a, "b": b}])
def test_any_model_and_any_loss(form):
    data = [(form(torch.ones(3, 2), torch.ones(3, 2)), {"aim": torch.zeros(3, 1)})]
    history = fit(
        TwoInputs(),
        data,
        loss=lambda outputs, targets: (outputs["sum"] - targets["aim"]).square().mean(),
        recipe=Recipe(epochs=20, lr=0.05),
    )
    assert history.epochs[-1].loss < 0.1 * history.epochs[0].loss


class Stream(IterableDataset):
    """Data that do not say how many they are."""

    def __iter__(self):
        yield from zip(*examples(), strict=True)


def test_a_loader_without_length_is_counted():
    _, history = trained(data=DataLoader(Stream(), batch_size=8))
    assert history.steps == 6
    assert history.epochs[-1].lr > 0


# -- what it reports --------------------------------------------------------------------------


class Diary(Hook):
    """Writes down how it was called."""

    def __init__(self):
        self.lines = []

    def start(self, model, optimizer):
        self.lines.append(("start", type(optimizer).__name__, model.training))

    def after_step(self, step):
        self.lines.append(step)

    def after_epoch(self, epoch):
        self.lines.append(epoch)


def test_hooks_are_called_in_order():
    diary = Diary()
    history = fit(network(), batches(), loss=CROSS_ENTROPY, recipe=Recipe(epochs=2), hooks=[diary])
    start, *rest = diary.lines
    assert start == ("start", "SGD", True)
    assert [type(line) for line in rest] == ([Step] * 3 + [Epoch]) * 2
    steps = [line for line in rest if isinstance(line, Step)]
    assert [step.index for step in steps] == list(range(6))
    assert {step.steps for step in steps} == {6}
    assert tuple(line for line in rest if isinstance(line, Epoch)) == history.epochs


def test_loss_of_an_epoch_is_the_mean_over_its_steps():
    diary = Diary()
    history = fit(network(), batches(), loss=CROSS_ENTROPY, recipe=Recipe(epochs=1), hooks=[diary])
    losses = [line.loss for line in diary.lines if isinstance(line, Step)]
    assert history.epochs[0].loss == pytest.approx(sum(losses) / 3)


def test_hooks_see_the_weights_after_the_step():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)

    class Look(Hook):
        def after_step(self, step):
            assert model.weight.item() == pytest.approx(-step.lr)

    data, recipe = [(torch.ones(1, 1), None)], Recipe(epochs=1, weight_decay=0.0)
    fit(model, data, loss=lambda y, _: y.sum(), recipe=recipe, hooks=[Look()])


def test_history_adds_up():
    _, history = trained()
    assert history.steps == 6
    assert history.seconds == sum(epoch.seconds for epoch in history.epochs) > 0


# -- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite(value):
    model = network()
    before = copy.deepcopy(list(model.parameters()))
    words = rf"the loss is {value} at epoch 1, step 1 of 6\n.*\n.*Recipe\(lr=0.01\)"
    with pytest.raises(TrainError, match=words):
        fit(model, batches(), loss=lambda y, _: y.square().sum() * value, recipe=Recipe(epochs=2))
    assert all(map(torch.equal, model.parameters(), before))
    assert model.training


def test_says_when_it_diverged():
    losses = iter([1.0] * 4 + [torch.nan])
    model, data, recipe = network(), batches(), Recipe(epochs=2)
    with pytest.raises(TrainError, match="the loss is nan at epoch 2, step 5 of 6"):
        fit(model, data, loss=lambda y, _: y.mean() * next(losses), recipe=recipe)


def test_a_gradient_that_is_not_finite_changes_no_weight():
    model = nn.Linear(1, 1)
    before = model.weight.item()
    data = [(torch.zeros(1, 1), None)]
    with pytest.raises(TrainError, match="the gradients are not finite at epoch 1, step 1 of 10"):
        fit(model, data, loss=lambda y, _: (y - y).abs().sqrt().sum(), recipe=Recipe())
    assert model.weight.item() == before


def test_a_loss_that_is_no_scalar():
    loss = nn.CrossEntropyLoss(reduction="none")
    with pytest.raises(TrainError, match=r"the loss has shape \(8,\), not one number"):
        fit(network(), batches(), loss=loss, recipe=Recipe())


def test_a_loss_that_does_not_depend_on_the_model():
    with pytest.raises(TrainError, match="the loss does not depend on the model"):
        fit(network(), batches(), loss=lambda y, _: y.detach().sum(), recipe=Recipe())


def test_no_data():
    with pytest.raises(DataError, match="the data yield no batch"):
        fit(network(), [], loss=CROSS_ENTROPY, recipe=Recipe())


def test_data_that_can_be_read_once():
    with pytest.raises(DataError, match="a generator, which can be read only once"):
        fit(network(), (b for b in batches()), loss=CROSS_ENTROPY, recipe=Recipe())


def test_nan_in_the_data_reaches_neither_weights_nor_statistics():
    model = network()
    before = copy.deepcopy(model.state_dict())
    bad = torch.full((8, 1, 8, 8), torch.nan)
    with pytest.raises(DataError, match="the inputs of batch 1 are not finite"):
        fit(model, [(bad, torch.zeros(8))], loss=CROSS_ENTROPY, recipe=Recipe())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_the_users_own_exception_shows():
    class Broken(nn.Linear):
        def forward(self, x):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fit(Broken(1, 1), [(torch.ones(1, 1), None)], loss=CROSS_ENTROPY, recipe=Recipe())
