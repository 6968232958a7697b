"""Channels in another order: the same function, and slots that keep no less."""

import pytest
import torch
from models import CASES, Net
from torch import nn

import prunus
from prunus import units
from prunus.errors import PlanError
from prunus.permute import permuted
from prunus.trace import trace
from prunus.units import permutation

ROWS = torch.randn(4, 8)


def mlp():
    return nn.Sequential(
        nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 4)
    )


def images():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 16, 3, padding=1)
            self.norm = nn.BatchNorm2d(16)
            self.first, self.second = nn.Conv2d(16, 32, 3, padding=1), nn.Conv2d(32, 16, 1)
            self.head = nn.Linear(16 * 4, 5)

        def forward(self, x):
            x = self.norm(self.stem(x)).relu()
            x = x + self.second(self.first(x).relu())
            return self.head(nn.functional.adaptive_avg_pool2d(x, 2).flatten(1))

    model = Residual()
    nn.init.normal_(model.norm.running_mean)
    nn.init.uniform_(model.norm.weight)
    return model.eval()


def kept(model, inputs, granularity):
    return sum(
        float(parameter.detach().abs().sum())
        for parameter in prunus.prune(model, inputs, granularity=granularity).model.parameters()
        if parameter.dim() > 1
    )


@pytest.mark.parametrize("granularity", ["2:4", "1:4", "1:2"])
@pytest.mark.parametrize(("build", "shape"), [(mlp, (4, 8)), (images, (2, 3, 8, 8))])
def test_the_same_function_and_more_kept(build, shape, granularity):
    model, inputs = build(), torch.randn(shape)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    same = permuted(model, inputs, granularity=granularity)
    torch.testing.assert_close(same(inputs), model(inputs), atol=1e-5, rtol=1e-4)
    assert kept(same, inputs, granularity) > kept(model, inputs, granularity)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_every_traced_group_moves_consistently():
    torch.manual_seed(0)
    for case in CASES.values():
        model, inputs = case.build(), case.sizes[0]()
        graph = trace(model, inputs)
        order = {
            name: torch.randperm(group.size)
            for name, group in units.groups(graph, "channel").items()
            if group.frozen_because is None
        }
        torch.manual_seed(1)  # some models draw
        before = model(*inputs)
        tensors = dict(model.named_parameters()) | dict(model.named_buffers())
        with torch.no_grad():
            for name, value in graph.tensors.items():
                for dim, extent in enumerate(value.extents):
                    index = permutation.index_of(extent, order)
                    tensors[name].copy_(tensors[name].index_select(dim, index))
        torch.manual_seed(1)
        for one, other in zip(leaves(before), leaves(model(*inputs)), strict=True):
            torch.testing.assert_close(one, other, msg=case.name)


def leaves(outputs):
    return [x for x in torch.utils._pytree.tree_leaves(outputs) if isinstance(x, torch.Tensor)]


def test_a_case_by_hand():
    # Units 0 and 1 are large together, 2 and 3 small: 1 of 2 keeps 5 + 1, apart it keeps 5 + 5.
    weight_RU = torch.tensor([[5.0, 5.0, 1.0, 1.0]])
    order = permutation._search(weight_RU, 1, 2)
    assert float(permutation._kept(weight_RU[:, order], 1, 2).sum()) == 10


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 2), (3, 4), (1, 3)])
def test_the_gain_of_a_swap_is_what_it_gains(n, m):
    weight_RU = torch.rand(7, 12)
    gain_UU = permutation._gains(weight_RU, n, m)
    now = permutation._kept(weight_RU, n, m).sum()
    for first, second in [(0, 11), (1, 5), (4, 9)]:
        order = torch.arange(12)
        order[[first, second]] = order[[second, first]]
        then = permutation._kept(weight_RU[:, order], n, m).sum()
        gain = gain_UU[first, second].double()
        torch.testing.assert_close(gain, then - now, atol=1e-5, rtol=1e-5)


def test_frozen_axes_keep_their_order():
    model = Net(lambda net, x: net.a(x), {"a": nn.Linear(8, 8)})
    same = permuted(model, ROWS)
    assert torch.equal(same.a.weight, model.a.weight)


def test_a_granularity_without_slots():
    with pytest.raises(PlanError, match="granularity '4x1' has no slots"):
        permuted(mlp(), ROWS, granularity="4x1")
