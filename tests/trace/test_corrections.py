"""Which cuts a factor on a parameter makes up for."""

import pytest
import torch
from models import Net, linear
from torch import nn

import prunus
from prunus import Budget, trace
from prunus.errors import BudgetError

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


def response_norm_and_skip(net, x):
    """As it is written there: what is normalised is added again, and is no residual stream."""
    x = net.a(x)[:, :, None]
    size = x.abs()
    y = net.scale.view(1, -1, 1) * (x * (size / (size.mean(1, keepdim=True) + 1e-6)))
    return net.b((x + y)[:, :, 0])


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
        (response_norm_and_skip, -1.0),
        (mean_over_another, 1.0),
    ],
)
def test_corrected(forward, exponent):
    model = Net(forward, {**layers(), "scale": nn.Parameter(torch.rand(8) + 0.5)})
    graph = trace(model, ROWS)
    assert graph.axes["a"].corrected
    assert [(c.tensor, c.exponent) for c in graph.corrections] == [("scale", exponent)]
    result = prunus.prune(model, ROWS, budget=Budget(units=0.25))
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


def trained(epsilon):
    """A norm over 8 units whose squares are about 1e-6."""
    model = nn.Sequential(nn.Linear(6, 8), nn.RMSNorm(8, eps=epsilon), nn.Linear(8, 3)).eval()
    with torch.no_grad():
        model[0].weight.mul_(1e-3), model[0].bias.mul_(1e-3)
    return model


def test_an_epsilon_that_matters_keeps_the_group_whole_and_says_so():
    with pytest.raises(BudgetError, match="a factor on a parameter does not make up for it"):
        half(trained(1e-6))
    result = half(trained(1e-14))
    assert result.plan.counts == {"0": 4}
    assert str(result.report.agreement).startswith("masked == shrunk")
    assert "make up for norms over fewer units: 1.weight x 1.41" in str(result.report)


def test_without_a_check_too():
    with pytest.raises(BudgetError, match="where rounding explains"):
        prunus.prune(trained(1e-6), ROWS, budget=Budget(units=0.5), verify=False)


def test_a_residual_stream_is_not_cut_on_the_strength_of_corrections():
    def forward(net, x):
        x = net.a(x)
        return net.b(x + net.c(net.norm(x)))

    model = Net(forward, layers(c=linear(8, 8), norm=nn.RMSNorm(8, eps=0.0)))
    because = prunus.explain(model, ROWS).groups["a"].frozen_because
    assert because.endswith("granularity='width' removes it all the same")


def norm_net():
    model = nn.Sequential(nn.Linear(6, 8), nn.RMSNorm(8, eps=0.0), nn.Linear(8, 3))
    return model.eval()


def half(model):
    return prunus.prune(model, ROWS, budget=Budget(units=0.5))


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
    prunus.prune(model, ROWS, budget=Budget(units=0.5), in_place=True)
    torch.testing.assert_close(model(ROWS), expected)
