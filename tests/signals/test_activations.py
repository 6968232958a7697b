import copy

import pytest
import torch
from torch import nn

from prunus import units
from prunus.errors import CriterionError, DataError
from prunus.signals import ACTIVATION_MEAN, ACTIVATION_VARIANCE, ACTIVATION_ZEROS, RANK, collect
from prunus.trace import trace

MOMENTS = (ACTIVATION_MEAN, ACTIVATION_VARIANCE, ACTIVATION_ZEROS)


def collected(model, *batches, group, signals=MOMENTS):
    """Return the signals of one group of a traced model."""

    class Reads:
        needs = frozenset(signals)

    groups = {group: units.groups(trace(model, batches[0]), "channel")[group]}
    values = collect(model, groups, [Reads()], data=[(batch, None) for batch in batches]).values
    return [values[signal][group] for signal in signals]


def moments(value_C: torch.Tensor) -> list[torch.Tensor]:
    """(C, N) -> mean of |a|, variance, share of zeros."""
    return [
        value_C.abs().mean(dim=1),
        value_C.var(dim=1, correction=0),
        (value_C == 0).float().mean(dim=1),
    ]


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.float(), other)


def test_by_hand():
    model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1))
    model[0].weight.data = torch.tensor([[1.0], [-2.0]])
    mean, variance, zeros = collected(model, torch.tensor([[1.0], [-1.0], [3.0], [0.0]]), group="0")
    assert mean.tolist() == [1.0, 0.5]
    assert variance.tolist() == [1.5, 0.75]
    assert zeros.tolist() == [0.5, 0.75]


def test_what_the_next_convolution_reads():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 2, 3, padding=1),
    ).eval()
    inputs = torch.randn(5, 3, 8, 8)
    read_C = model[:4](inputs).detach().transpose(0, 1).flatten(1)
    assert_same(collected(model, inputs, group="0"), moments(read_C))


def test_positions_of_a_flattened_map_are_averaged():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    inputs = torch.randn(6, 1, 4, 4)
    per_position = moments(model[:3](inputs).detach().T)
    expected = [value.view(4, 4).mean(dim=1) for value in per_position]
    assert_same(collected(model, inputs, group="0"), expected)


def test_a_unit_that_several_read_has_their_mean():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.one, self.two = nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(4, 5)

        def forward(self, x):
            hidden = self.first(x)
            return self.one(hidden), self.two(hidden.relu())

    model, inputs = Branches(), torch.randn(6, 3)
    hidden = model.first(inputs).detach().T
    pairs = zip(moments(hidden), moments(hidden.relu()), strict=True)
    assert_same(collected(model, inputs, group="first"), [(a + b) / 2 for a, b in pairs])


def test_channels_put_next_to_each_other():
    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.last = nn.Linear(3, 2), nn.Linear(3, 4), nn.Linear(6, 1)

        def forward(self, x):
            return self.last(torch.cat([self.one(x), self.two(x)], dim=1).relu())

    model, inputs = Joined(), torch.randn(6, 3)
    assert_same(collected(model, inputs, group="two"), moments(model.two(inputs).detach().relu().T))


def test_grouped_and_depthwise_convolutions():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.Conv2d(8, 2, 1)
    )
    inputs = torch.randn(5, 3, 6, 6)
    read_C = model[:4](inputs).detach().transpose(0, 1).flatten(1)
    assert_same(collected(model, inputs, group="0"), moments(read_C))


class Scores(nn.Module):
    """Queries and keys that no weight reads."""

    def __init__(self):
        super().__init__()
        self.query, self.key = nn.Linear(3, 4), nn.Linear(3, 4)

    def forward(self, x):
        return torch.bmm(self.query(x).relu(), self.key(x).mT)


def test_units_that_no_weight_reads_are_taken_where_they_are_made():
    model, inputs = Scores(), torch.randn(2, 5, 3)
    query, key = model.query(inputs).detach().relu(), model.key(inputs).detach()
    pairs = zip(moments(query.flatten(0, 1).T), moments(key.flatten(0, 1).T), strict=True)
    assert_same(collected(model, inputs, group="query"), [(a + b) / 2 for a, b in pairs])


def test_a_shared_module_counts_every_use():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 1)

        def forward(self, x):
            return self.last(self.first(x)) + self.last(self.first(2 * x).relu())

    model, inputs = Twice(), torch.randn(6, 3)
    both = torch.cat([model.first(inputs), model.first(2 * inputs).relu()]).detach()
    assert_same(collected(model, inputs, group="first"), moments(both.T))


@pytest.mark.parametrize("signals", [MOMENTS, (RANK,)])
def test_how_items_are_batched_makes_no_difference(chain, signals):
    inputs = torch.cat([batch for batch, _ in chain.data])
    whole = collected(chain.model, inputs, group="0", signals=signals)
    split = collected(chain.model, inputs[:1], inputs[1:6], inputs[6:], group="0", signals=signals)
    for one, other in zip(whole, split, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("signals", [MOMENTS, (RANK,)])
def test_the_model_is_left_as_it_was(chain, signals):
    chain.model.train()
    before = copy.deepcopy(chain.model.state_dict())
    collected(chain.model, chain.data[0][0], group="0", signals=signals)
    assert chain.model.training
    for name, value in chain.model.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("signal", [*MOMENTS, RANK])
def test_single_weights_have_none(chain, signal):
    class Reads:
        needs = frozenset({signal})

    groups = units.groups(trace(chain.model, chain.data[0][0]), "weight")
    with pytest.raises(CriterionError, match=r"the single weights of '0.weight' have no activ"):
        collect(chain.model, groups, [Reads()], data=chain.data)


def test_activations_that_are_not_finite():
    model = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 1))
    model[0].weight.data.fill_(3e38)
    with pytest.raises(DataError, match=r"'1.weight' reads numbers that are not finite"):
        collected(model, torch.full((2, 1), 10.0), group="0")


def test_a_layer_that_does_not_run(chain):
    class Sometimes(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 1)

        def forward(self, x):
            return self.last(self.first(x)) if len(x) == 2 else x

    class Reads:
        needs = frozenset(MOMENTS)

    model = Sometimes()
    groups = {"first": units.groups(trace(model, torch.randn(2, 3)), "channel")["first"]}
    with pytest.raises(CriterionError, match="the activations of 'first' are not seen") as caught:
        collect(model, groups, [Reads()], data=[(torch.randn(5, 3), None)])
    assert "exclude=['first']" in caught.value.hint


# -- maps -----------------------------------------------------------------------------------------


def mean_rank(maps: torch.Tensor) -> torch.Tensor:
    return torch.linalg.matrix_rank(maps).float().mean(dim=0)


def test_rank_against_matrix_rank(chain):
    inputs = chain.data[0][0]
    (rank_U,) = collected(chain.model, inputs, group="0", signals=(RANK,))
    assert_same([rank_U], [mean_rank(chain.model.eval()[:3](inputs).detach())])


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1)])
def test_maps_are_those_before_pooling(pool):
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        pool,
        nn.Flatten(),
        nn.LazyLinear(2),
    ).eval()
    inputs = torch.randn(5, 1, 6, 6)
    model(inputs)
    (rank_U,) = collected(model, inputs, group="0", signals=(RANK,))
    assert_same([rank_U], [mean_rank(model[:3](inputs).detach())])
    assert rank_U.max() > rank_U.min()


def test_maps_of_a_residual_stream_are_averaged():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
            self.last = nn.Conv2d(4, 1, 1)

        def forward(self, x):
            x = self.first(x).relu()
            return self.last((x + self.second(x)).relu())

    model, inputs = Residual(), torch.randn(3, 1, 5, 5)
    first = model.first(inputs).relu().detach()
    added = (first + model.second(first)).relu().detach()
    by_first = (mean_rank(first) + mean_rank(added)) / 2
    (rank_U,) = collected(model, inputs, group="first", signals=(RANK,))
    assert_same([rank_U], [(by_first + mean_rank(added)) / 2])


def test_features_without_maps():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with pytest.raises(CriterionError, match="the units of '0' have no maps") as caught:
        collected(model, torch.randn(4, 2), group="0", signals=(RANK,))
    assert "exclude=['0']" in caught.value.hint
