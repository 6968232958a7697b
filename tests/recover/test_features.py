"""Inner layers that learn from those of the dense model."""

import copy

import pytest
import torch
from torch import nn

import prunus
from prunus.errors import TrainError
from prunus.recover import FeatureDistillation
from prunus.recover.features import DAMPING, _least_squares

ROWS = torch.randn(64, 6)
DATA = [(batch, batch[:, :3].argmax(1)) for batch in ROWS.split(16)]
LOSS = nn.CrossEntropyLoss()


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3)
    )


def cut(dense, inputs=ROWS, **settings) -> prunus.Pruned:
    return prunus.prune(dense, inputs[:2], budget=prunus.Budget(units=0.5), **settings)


def distilled(pruned, *, data=DATA, epochs=1, lr=0.05, **settings) -> None:
    recipe = prunus.Recipe(epochs=epochs, lr=lr, weight_decay=0.0, momentum=0.0, warmup=0.0)
    step = FeatureDistillation(**settings)
    prunus.recover(pruned, [step], data=data, loss=LOSS, recipe=recipe)


def test_one_step_is_that_of_the_written_out_loss():
    """No width differs at a layer that kept its units, so there is no map."""
    dense = network()
    pruned = cut(dense, include=["0"])
    inputs, targets = DATA[0]
    twin = copy.deepcopy(pruned.model)
    with torch.no_grad():
        taught = dense[:3](inputs)
    distance = (twin[:3](inputs) - taught).square().sum() / taught.square().sum()
    (LOSS(twin(inputs), targets) + 2.0 * distance).backward()
    wanted = [weight - 0.05 * weight.grad for weight in twin.parameters()]
    distilled(pruned, data=DATA[:1], layers=("2",), weight=2.0)
    for weight, expected in zip(pruned.model.parameters(), wanted, strict=True):
        torch.testing.assert_close(weight, expected)


@pytest.mark.parametrize(("shape", "dim"), [((40, 3), 1), ((10, 3, 2, 2), 1), ((5, 8, 3), 2)])
def test_the_map_starts_at_ridge_regression(shape, dim):
    """Which is least squares with one more place for each number that is held near zero."""
    small = torch.randn(shape)
    large = torch.randn([7 if d == dim else n for d, n in enumerate(shape)])
    with torch.no_grad():
        linear = _least_squares(small, large, dim)
    rows = small.movedim(dim, -1).flatten(0, -2)
    ones = torch.cat([rows, torch.ones(len(rows), 1)], 1)
    hold = (DAMPING * ones.square().sum(0).mean()).sqrt() * torch.eye(4)
    target = torch.cat([large.movedim(dim, -1).flatten(0, -2), torch.zeros(4, 7)])
    wanted = torch.linalg.lstsq(torch.cat([ones, hold]), target).solution
    torch.testing.assert_close(linear.weight.T, wanted[:-1], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(linear.bias, wanted[-1], atol=1e-4, rtol=1e-3)


def test_where_widths_differ_layers_come_closer_too():
    dense = network()
    pruned = cut(dense)
    layers = ("0", "2")

    def missed() -> float:
        """What no linear map of the small layers gives of the dense ones."""
        with torch.no_grad():
            found = []
            for depth in (1, 3):
                small, large = pruned.model[:depth](ROWS), dense[:depth](ROWS)
                found.append((_least_squares(small, large, 1)(small) - large).square().sum())
        return sum(found).item()

    before = missed()
    distilled(pruned, layers=layers, weight=5.0, epochs=40, lr=0.02)
    assert missed() < 0.9 * before
    assert pruned.model[0].out_features == 8


def test_by_itself_it_takes_the_layers_that_lost_inputs():
    step = FeatureDistillation()
    pruned = cut(network())
    assert step._pairs(pruned, pruned.dense) == {"2": "2", "4": "4"}
    pruned = cut(network(), granularity="weight")
    assert step._pairs(pruned, pruned.dense) == {"0": "0", "2": "2", "4": "4"}


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))

    def forward(self, rows):
        return rows + self.inner(rows)


class Blocks(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(6, 6), nn.Linear(6, 3)
        self.blocks = nn.ModuleList(Block() for _ in range(4))

    def forward(self, rows):
        rows = self.stem(rows)
        for block in self.blocks:
            rows = block(rows)
        return self.head(rows)


def test_blocks_that_moved_up_learn_from_those_that_they_were():
    dense = Blocks()
    with torch.no_grad():
        dense.blocks[1].inner[2].weight.mul_(1e-3)
        dense.blocks[1].inner[2].bias.zero_()
    pruned = prunus.prune(
        dense, ROWS[:2], budget=prunus.Budget(units=0.75), granularity="layer",
        criterion="block_influence", data=DATA,
    )  # fmt: skip
    assert len(pruned.model.blocks) == 3
    step = FeatureDistillation(layers=("blocks.0", "blocks.1", "blocks.2.inner"))
    pairs = step._pairs(pruned, dense)
    assert list(pairs.values()) == ["blocks.0", "blocks.2", "blocks.3.inner"]
    distilled(pruned, layers=("blocks.1",))


def test_where_blocks_were_taken_out_no_layer_lost_inputs():
    pruned = prunus.prune(
        Blocks(), ROWS[:2], budget=prunus.Budget(units=0.75), granularity="layer",
        criterion="block_influence", data=DATA,
    )  # fmt: skip
    done = prunus.recover(pruned, ["bias", "least_squares"], data=DATA)
    assert [each.changed for each in done] == [0, 0]


def test_images_whose_channels_differ():
    dense = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(),
                          nn.Linear(128, 3))  # fmt: skip
    images = torch.randn(8, 1, 8, 8)
    pruned = cut(dense, images)
    distilled(pruned, data=[(images, torch.randint(3, (8,)))], layers=("0", "2"))
    assert pruned.model[2].out_channels == 4


# -- what cannot be compared --------------------------------------------------------------------


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.unused = nn.GRU(6, 4), nn.Linear(2, 2)
        self.middle, self.head = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, rows):
        return self.head(torch.relu(self.middle(self.inner(rows)[0])))


WRONG = {
    "name": ("3.conv", "no module '3.conv'"),
    "tuple": ("inner", "'inner' returns a tuple, not one tensor"),
    "unused": ("unused", "'unused' ran 0 times and 'unused' of the dense model 0 times"),
}


@pytest.mark.parametrize(("layer", "words"), WRONG.values(), ids=WRONG)
def test_layers_that_cannot_be_compared(layer, words):
    pruned = cut(Two(), include=["middle"])
    with pytest.raises(TrainError, match=words):
        distilled(pruned, layers=(layer,))
    hooks = [module._forward_hooks for module in (*pruned.model.modules(), *pruned.dense.modules())]
    assert not any(hooks)


def test_more_than_the_width_differs():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.outer, self.head = nn.Linear(6, 8), nn.Identity(), nn.Linear(8, 3)

        def forward(self, rows):
            hidden = torch.relu(self.first(rows))
            self.outer(hidden.T @ hidden)
            return self.head(hidden)

    pruned = cut(Flat())
    with pytest.raises(TrainError, match=r"'outer' gives \(4, 4\), in the dense model \(8, 8\)"):
        distilled(pruned, layers=("outer",))


def test_nothing_lost_inputs():
    pruned = prunus.prune(network(), ROWS[:2], budget=prunus.Budget(units=1.0))
    with pytest.raises(TrainError, match=r"no layer lost inputs(.|\n)*FeatureDistillation\(layers"):
        distilled(pruned)


@pytest.mark.parametrize("settings", [{"weight": 0.0}, {"layers": ()}])
def test_settings_out_of_range(settings):
    with pytest.raises(TrainError, match="weight must be above 0, and one layer must be named"):
        FeatureDistillation(**settings)
