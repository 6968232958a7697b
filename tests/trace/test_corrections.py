"""Which cuts a factor on a parameter makes up for."""

import pytest
import torch
from models import Net, linear
from torch import nn

import prunus
from prunus import Budget, trace

ROWS = torch.randn(4, 6)


def layers(**more):
    return {"a": linear(6, 8), "b": linear(8, 3), **more}


def root_mean_square(net, x):
    x = net.a(x)
    return net.b(net.scale * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)))


def by_division(net, x):
    x = net.a(x)
    return net.b(x / torch.sqrt((x * x).mean(-1, keepdim=True)) * net.scale)


def response_norm(net, x):
    """As in ConvNeXt V2: each unit over the mean of all."""
    x = net.a(x)
    size = x.abs()
    return net.b(torch.addcmul(net.a.bias, net.scale, x * (size / (size.mean(-1, keepdim=True)))))


def mean_over_another(net, x):
    """The mean is what is divided, not what it is divided by."""
    x = net.a(x)
    return net.b(net.scale * (x * (x.abs().mean(-1, keepdim=True) / x.norm(dim=-1, keepdim=True))))


def weight_read_twice(net, x):
    return root_mean_square(net, x) + net.b(net.scale * net.a(x))


def centred(net, x):
    x = net.a(x)
    return net.b((x - x.mean(-1, keepdim=True)) * net.scale)


def without_a_weight(net, x):
    x = net.a(x)
    return net.b(x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


def large_epsilon(net, x):
    x = net.a(x)
    return net.b(net.scale * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 0.5)))


def mean_returned(net, x):
    mean = net.a(x).pow(2).mean(-1, keepdim=True)
    return net.b(net.scale * (net.a(x) * torch.rsqrt(mean))), mean


@pytest.mark.parametrize(
    ("forward", "exponent"),
    [
        (root_mean_square, -0.5),
        (by_division, -0.5),
        (response_norm, -1.0),
        (mean_over_another, 1.0),
    ],
)
def test_corrected(forward, exponent):
    model = Net(forward, {**layers(), "scale": nn.Parameter(torch.rand(8) + 0.5)})
    graph = trace(model, ROWS)
    assert graph.axes["a"].corrected
    assert [(c.tensor, c.exponent) for c in graph.corrections] == [("scale", exponent)]
    result = prunus.prune(model, ROWS, budget=Budget(units=0.25), granularity="width")
    torch.testing.assert_close(result.model(ROWS), result.masked()(ROWS), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "forward", [weight_read_twice, centred, without_a_weight, large_epsilon, mean_returned]
)
def test_not_corrected(forward):
    model = Net(forward, {**layers(), "scale": nn.Parameter(torch.rand(8) + 0.5)})
    graph = trace(model, ROWS)
    assert graph.axes["a"].inexact_because
    assert not graph.axes["a"].corrected
    assert graph.corrections == ()


def norm_net():
    model = nn.Sequential(nn.Linear(6, 8), nn.RMSNorm(8, eps=0.0), nn.Linear(8, 3))
    return model.eval()


def half(model):
    return prunus.prune(model, ROWS, budget=Budget(units=0.5), granularity="width")


def test_two_cuts_compose_with_their_corrections():
    model = norm_net()
    once = half(model)
    twice = half(once.model)
    plan = prunus.compose(once.plan, twice.plan)
    at_once = prunus.shrink(model, plan)
    torch.testing.assert_close(at_once(ROWS), twice.model(ROWS))


def test_corrections_are_saved_with_the_plan(tmp_path):
    result = half(norm_net())
    prunus.save_plan(result.plan, tmp_path / "plan.json")
    assert prunus.load_plan(tmp_path / "plan.json").corrections == result.plan.corrections
    prunus.save(result, tmp_path / "small")
    loaded = prunus.load(tmp_path / "small", model=norm_net())
    torch.testing.assert_close(loaded(ROWS), result.model(ROWS))


def test_in_place_is_the_same():
    model = norm_net()
    expected = half(model).model(ROWS)
    prunus.prune(model, ROWS, budget=Budget(units=0.5), granularity="width", in_place=True)
    torch.testing.assert_close(model(ROWS), expected)
