import copy

import pytest
import torch
from torch import nn

from prunus.errors import DataError
from prunus.recover import reestimate_batch_norm

BATCHES = [(torch.full((4, 3, 5, 5), float(k)) + torch.arange(4.0).reshape(4, 1, 1, 1), k)
           for k in range(3)]  # fmt: skip


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.BatchNorm2d(4)
    )


def test_statistics_are_those_of_the_batches():
    model = network()
    assert reestimate_batch_norm(model, BATCHES) == 2
    features = [model[0](inputs).detach().transpose(0, 1).flatten(1) for inputs, _ in BATCHES]
    means = torch.stack([feature.mean(1) for feature in features])
    variances = torch.stack([feature.var(1, unbiased=True) for feature in features])
    torch.testing.assert_close(model[1].running_mean, means.mean(0))
    torch.testing.assert_close(model[1].running_var, variances.mean(0))


def test_later_norms_see_what_the_earlier_let_through_in_training():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3))
    reestimate_batch_norm(model, BATCHES)
    torch.testing.assert_close(model[1].running_mean, torch.zeros(3), atol=1e-5, rtol=0)


def test_old_statistics_do_not_matter():
    first, second = network(), None
    second = copy.deepcopy(first)
    second[1].running_mean.fill_(100.0)
    second[1].num_batches_tracked.fill_(1000)
    for model in (first, second):
        reestimate_batch_norm(model, BATCHES)
    assert torch.equal(first[1].running_mean, second[1].running_mean)


@pytest.mark.parametrize(
    ("norm", "shape"),
    [(nn.BatchNorm1d, (4, 3)), (nn.BatchNorm2d, (4, 3, 2, 2)), (nn.BatchNorm3d, (4, 3, 2, 2, 2))],
)
def test_every_kind_of_batch_norm(norm, shape):
    model, inputs = norm(3), torch.randn(shape)
    assert reestimate_batch_norm(model, [(inputs, None)]) == 1
    torch.testing.assert_close(model.running_mean, inputs.transpose(0, 1).flatten(1).mean(1))


def test_dropout_is_off():
    model = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm1d(2))
    reestimate_batch_norm(model, [torch.ones(8, 2)])
    assert model[1].running_mean.tolist() == [1.0, 1.0]


def test_flags_momentum_and_weights_are_as_before():
    model = network()
    model[1].momentum, model[4].momentum = 0.3, None
    model.train()
    model[4].eval()
    flags = [module.training for module in model.modules()]
    weights = copy.deepcopy(list(model.parameters()))
    reestimate_batch_norm(model, BATCHES)
    assert [module.training for module in model.modules()] == flags
    assert (model[1].momentum, model[4].momentum) == (0.3, None)
    assert all(map(torch.equal, model.parameters(), weights))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_reads_so_many_batches_and_no_more():
    read = []

    def data():
        for batch in BATCHES:
            read.append(batch)
            yield batch

    model = network()
    reestimate_batch_norm(model, data(), batches=2)
    assert len(read) == 2
    assert model[1].num_batches_tracked == 2


def test_without_batch_norms_nothing_is_read():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    assert reestimate_batch_norm(model, None) == 0


class Auxiliary(nn.Module):
    """Has a second head that only training reaches."""

    def __init__(self):
        super().__init__()
        self.head, self.auxiliary = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x):
        return (self.head(x), self.auxiliary(x)) if self.training else self.head(x)


def test_a_norm_that_no_batch_reaches_keeps_its_statistics():
    model = Auxiliary()
    model.auxiliary.running_mean.fill_(5.0)
    assert reestimate_batch_norm(model, BATCHES) == 1
    assert model.auxiliary.running_mean.tolist() == [5.0, 5.0, 5.0]


BAD = {
    "empty": ([], "yield no batch"),
    "NaN": ([*BATCHES, (torch.full((4, 3, 5, 5), torch.nan), 0)], "inputs of batch 4 are not"),
}


@pytest.mark.parametrize(("data", "words"), BAD.values(), ids=BAD)
def test_after_an_error_all_is_as_before(data, words):
    model = network()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(DataError, match=words):
        reestimate_batch_norm(model, data)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model[1].momentum == 0.1
    assert model[1].training


def test_no_batches_asked_for():
    with pytest.raises(DataError, match="batches=0 reads no batch"):
        reestimate_batch_norm(network(), BATCHES, batches=0)
