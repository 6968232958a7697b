import pytest
import torch
from models import Net, halved, linear

from prunus.shrink import sized


@pytest.fixture
def heads():
    def forward(net, x):
        return net.b(net.a(x).view(-1, net.heads, net.shape[0]).transpose(1, 2).flatten(1))

    return Net(forward, {"a": linear(6, 12), "b": linear(12, 4), "heads": 4, "shape": (3, 9)})


def test_sizes_are_set_for_a_while(heads):
    plan = halved(heads, torch.ones(2, 6))
    with sized(heads, plan):
        assert (heads.heads, heads.shape) == (2, (1, 9))
        assert (heads.a.out_features, heads.b.in_features) == (2, 2)

    assert (heads.heads, heads.shape, heads.a.out_features) == (4, (3, 9), 12)


def test_sizes_come_back_after_an_error(heads):
    plan = halved(heads, torch.ones(2, 6))
    with pytest.raises(KeyError, match="x"), sized(heads, plan):
        raise KeyError("x")

    assert (heads.heads, heads.shape) == (4, (3, 9))
