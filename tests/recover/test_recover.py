"""Steps in order, and what they say when something is missing."""

import pytest
import torch
from torch import nn

import prunus
from prunus.errors import DataError, TrainError
from prunus.recover import (
    BatchNorm,
    Bias,
    FineTune,
    LeastSquares,
    LogitDistillation,
    compensate_bias,
    get,
    reconstruct,
    reestimate_batch_norm,
)
from prunus.train import Hook

ROWS = torch.randn(64, 6)
DATA = [(batch, batch[:, :3].argmax(1)) for batch in ROWS.split(16)]
LOSS = nn.CrossEntropyLoss()
RECIPE = prunus.Recipe(epochs=2, lr=0.05)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 3))


def pair(**settings) -> list[prunus.Pruned]:
    """Return the same cut twice."""
    dense = network()
    budget = prunus.Budget(units=0.5)
    return [prunus.prune(dense, ROWS[:2], budget=budget, **settings) for _ in range(2)]


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def test_steps_are_done_in_the_order_given():
    mine, other = pair()
    done = prunus.recover(mine, ["batch_norm", "bias", "least_squares"], data=DATA)
    reestimate_batch_norm(other.model, DATA)
    compensate_bias(other.model, DATA, dense=other.dense, plan=other.plan)
    reconstruct(other.model, DATA, dense=other.dense, plan=other.plan)
    assert same(mine.model, other.model)
    assert [(each.step, each.changed) for each in done] == [
        (BatchNorm(), 1),
        (Bias(), 1),
        (LeastSquares(), 1),
    ]
    assert all(each.seconds > 0 for each in done)


@pytest.mark.parametrize(("step", "taught"), [("fine_tune", False), ("logit_distillation", True)])
def test_training_is_that_of_fit(step, taught):
    mine, other = pair()
    done = prunus.recover(mine, [step], data=DATA, loss=LOSS, recipe=RECIPE, seed=5)
    teacher = other.dense if taught else None
    prunus.fit(other.model, DATA, loss=LOSS, recipe=RECIPE, teacher=teacher, seed=5)
    assert same(mine.model, other.model)
    assert done[0].changed == 8


def test_a_recipe_of_its_own_comes_first():
    mine, _ = pair()
    steps = [FineTune(recipe=prunus.Recipe(epochs=1, lr=0.01)), "logit_distillation"]
    done = prunus.recover(mine, steps, data=DATA, loss=LOSS, recipe=RECIPE)
    assert [each.changed for each in done] == [4, 8]
    assert done[1].step == LogitDistillation()


def test_hooks_see_the_training():
    seen = []

    class Count(Hook):
        """Writes down when it is called."""

        def start(self, model, optimizer):
            seen.append("start")

        def after_step(self, step):
            seen.append(step.index)

        def after_epoch(self, epoch):
            seen.append("epoch")

    mine, _ = pair()
    prunus.recover(mine, ["fine_tune"], data=DATA, loss=LOSS, recipe=RECIPE, hooks=[Count()])
    assert seen == ["start", 0, 1, 2, 3, "epoch", 4, 5, 6, 7, "epoch"]


def test_the_recovered_model_is_saved_and_loaded(tmp_path):
    mine, _ = pair()
    prunus.recover(mine, ["least_squares", "fine_tune"], data=DATA, loss=LOSS, recipe=RECIPE)
    prunus.save(mine, tmp_path / "small")
    assert same(prunus.load(tmp_path / "small", model=network()), mine.model)


# -- what is missing is found out before anything is changed ------------------------------------


def test_no_such_step():
    with pytest.raises(TrainError, match=r"no recovery 'finetune'(.|\n)*did you mean 'fine_tune'"):
        prunus.recover(pair()[0], ["finetune"], data=DATA)
    assert get(Bias(batches=3)) == Bias(batches=3)


MISSING = {
    "loss": (["batch_norm", "fine_tune"], {"data": DATA}, TrainError, "FineTune needs a loss"),
    "data": (["batch_norm"], {"data": iter(DATA)}, DataError, "can be read only once"),
    "no data": (["batch_norm"], {"data": None}, DataError, "data are a NoneType, and no batches"),
    "a list": ("batch_norm", {"data": DATA}, TrainError, "steps='batch_norm' means nothing"),
    "a loss": (["fine_tune"], {"data": DATA, "loss": "ce"}, TrainError, "loss='ce' means nothing"),
}


@pytest.mark.parametrize(("steps", "given", "error", "words"), MISSING.values(), ids=MISSING)
def test_what_is_missing(steps, given, error, words):
    mine, other = pair()
    with pytest.raises(error, match=words):
        prunus.recover(mine, steps, **given)
    assert same(mine.model, other.model)


def test_a_model_in_place_of_what_prune_returned():
    with pytest.raises(TrainError, match=r"it is a Sequential(.|\n)*what prunus\.prune returned"):
        prunus.recover(network(), ["batch_norm"], data=DATA)


@pytest.mark.parametrize("step", ["bias", "least_squares", "logit_distillation"])
def test_the_dense_model_is_gone(step):
    model = network()
    gone = prunus.prune(model, ROWS[:2], budget=prunus.Budget(units=0.5), in_place=True)
    with pytest.raises(TrainError, match=r"needs the dense model, which is gone(.|\n)*in place"):
        prunus.recover(gone, ["batch_norm", step], data=DATA, loss=LOSS)
    assert prunus.recover(gone, ["batch_norm"], data=DATA)[0].changed == 1
