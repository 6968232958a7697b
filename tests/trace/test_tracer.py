"""What a trace sees, and what it says of input that it cannot use."""

import pytest
import torch
from models import Net, conv, linear
from torch import nn
from torch.nn import functional

from prunus import trace
from prunus.errors import TraceError

ROWS = torch.ones(2, 6)


def net(forward, **parts):
    return Net(forward, parts)


def reasons(graph):
    return {axis.name: axis.frozen_because for axis in graph.axes.values()}


@pytest.mark.parametrize(
    "inputs",
    [ROWS, (ROWS,), {"x": ROWS}],
    ids=["tensor", "tuple", "dict"],
)
def test_the_three_forms_of_inputs(inputs):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = linear(6, 8)

        def forward(self, x):
            return self.a(x)

    assert reasons(trace(Model(), inputs)) == {"a": "model output", "a.in": "model input"}


def test_inputs_nested_in_containers():
    model = net(lambda net, x: net.a(x["left"][0] + x["right"]), a=linear(6, 8))
    graph = trace(model, ({"left": [ROWS], "right": ROWS, "flag": True},))

    assert reasons(graph)["a.in"] == "model input"


@pytest.mark.parametrize("inputs", [(), {}, "text", [1, 2], None])
def test_inputs_without_a_tensor(inputs):
    with pytest.raises(TraceError, match=f"hold no tensor, but a {type(inputs).__name__}"):
        trace(linear(6, 8), inputs)


def test_inputs_on_another_device():
    with pytest.raises(TraceError, match="lie on meta, the model on cpu") as caught:
        trace(linear(6, 8), ROWS.to("meta"))
    assert caught.value.hint == "pass example_inputs.to('cpu')"


def test_a_model_on_the_meta_device():
    graph = trace(nn.Sequential(linear(6, 8), linear(8, 4)).to("meta"), ROWS.to("meta"))

    assert reasons(graph)["0"] is None


def test_shapes_that_do_not_fit_show_pytorchs_own_error(caplog):
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        trace(nn.Sequential(linear(6, 8), linear(7, 4)), ROWS)
    assert caplog.text == ""


def test_nothing_is_computed():
    ran = []
    model = net(lambda net, x: ran.append(type(x).__name__) or net.a(x), a=linear(6, 8))
    trace(model, ROWS)

    assert ran == ["Hollow"]


def test_control_flow_on_values_runs_on_real_tensors():
    def forward(net, x):
        y = net.a(x)
        return net.b(y) if y.sum() < 1e9 else y

    graph = trace(net(forward, a=linear(6, 8), b=linear(8, 4)), ROWS)
    assert graph.way == "real"
    assert reasons(graph)["a"] is None


def test_a_model_traced_on_real_tensors_keeps_its_numbers():
    model = net(
        lambda net, x: net.n(net.a(x)) if x.sum() else x, a=linear(6, 8), n=nn.BatchNorm1d(8)
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trace(model.train(), ROWS)

    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_users_line_is_named():
    def forward(net, x):
        y = net.a(x)
        return net.b(torch.block_diag(y))  # this line

    graph = trace(net(forward, a=linear(6, 8), b=linear(8, 4)), ROWS)
    line = forward.__code__.co_firstlineno + 2
    assert f"block_diag at test_tracer.py:{line}: prunus has no rule" in reasons(graph)["a"]


def test_without_user_code_the_line_is_that_of_pytorchs_module():
    graph = trace(nn.Sequential(linear(6, 8), nn.LayerNorm(8), linear(8, 4)), ROWS)

    assert "at normalization.py:" in graph.axes["0"].inexact_because[0]


def test_operators_with_their_inputs_and_arguments():
    graph = trace(nn.Sequential(conv(3, 8, stride=2), nn.ReLU()), torch.ones(1, 3, 6, 6))
    first, second = graph.operators

    assert (first.name, second.name) == ("convolution", "relu")
    assert [value.name for value in first.inputs] == [None, "0.weight", "0.bias"]
    assert first.arguments["stride"] == [2, 2]
    assert first.outputs[0].shape == second.outputs[0].shape == (1, 8, 3, 3)


def test_an_argument_left_out_is_none():
    graph = trace(conv(3, 8, bias=False), torch.ones(1, 3, 6, 6))

    assert graph.operators[0].inputs[2] is None


def test_a_tensor_from_nowhere_freezes_what_it_meets():
    outside = torch.ones(8)
    graph = trace(
        net(lambda net, x: net.b(net.a(x) * outside), a=linear(6, 8), b=linear(8, 4)), ROWS
    )

    assert "neither parameter, buffer nor computed from the inputs" in reasons(graph)["a"]


def test_an_output_is_frozen_wherever_it_is():
    model = net(lambda net, x: {"y": [net.b(net.a(x))], "n": 3}, a=linear(6, 8), b=linear(8, 4))

    assert reasons(trace(model, ROWS))["b"] == "model output"


def test_tied_parameters_are_one_tensor_with_another_name():
    model = nn.Sequential(linear(6, 8), linear(6, 8))
    model[1].weight = model[0].weight
    graph = trace(net(lambda net, x: net.m[0](x) + net.m[1](x), m=model), ROWS)

    assert graph.aliases == {"m.1.weight": "m.0.weight"}
    assert "m.1.weight" not in graph.tensors
    assert graph.parameters == {"m.0.weight", "m.0.bias", "m.1.bias"}


def test_parameters_that_do_not_run_are_listed_and_frozen():
    def forward(net, x):
        return net.c(net.a(x))

    model = net(forward, a=linear(6, 8), c=linear(8, 4), aside=linear(8, 5), norm=nn.LayerNorm(8))
    graph = trace(model, ROWS)
    assert graph.unreached == ("aside.weight", "aside.bias", "norm.weight", "norm.bias")
    assert all(axis.frozen_because for axis in graph.axes.values())
    assert "may read it, but does not run" in reasons(graph)["a"]


def test_what_runs_only_in_training_is_joined():
    def forward(net, x):
        y = net.a(x)
        return (net.b(y), net.aside(y)) if net.training else net.b(y)

    graph = trace(net(forward, a=linear(6, 8), b=linear(8, 4), aside=linear(8, 5)), ROWS)
    assert graph.unreached == ()
    assert reasons(graph)["a"] is None
    assert graph.tensors["aside.weight"].extents[1] == graph.tensors["a.weight"].extents[0]


def test_training_code_that_fails_freezes_what_it_may_read():
    def forward(net, x):
        y = net.a(x)
        if net.training:
            raise ValueError("targets are missing")
        return net.b(y)

    graph = trace(net(forward, a=linear(6, 8), b=linear(8, 4), aside=linear(8, 5)), ROWS)
    assert "may read it" in reasons(graph)["a"]


def test_what_is_drawn_in_training_alone_is_no_reason():
    def forward(net, x):
        y = functional.dropout(net.a(x), training=net.training)
        return (net.b(y), net.aside(y)) if net.training else net.b(y)

    graph = trace(net(forward, a=linear(6, 8), b=linear(8, 4), aside=linear(8, 5)), ROWS)
    assert graph.unreached == ()
    assert graph.axes["a"].inexact_because == ()


def test_a_parameter_that_does_not_run_reads_only_what_its_holders_see():
    inner = net(lambda net, x: net.d(net.c(x)), c=linear(8, 8), d=linear(8, 8), aside=linear(8, 5))
    other = net(lambda net, x: net.f(net.e(x)), e=linear(8, 8), f=linear(8, 8))
    model = net(lambda net, x: net.b(net.other(net.inner(net.a(x)))),
                a=linear(6, 8), inner=inner, other=other, b=linear(8, 4))  # fmt: skip

    found = reasons(trace(model, ROWS))
    assert "'inner.aside.weight' may read it" in found["inner.c"]  # its holder computes it
    assert "'inner.aside.weight' may read it" in found["a"]  # it is given it
    assert "'inner.aside.weight' may read it" in found["other.f"]  # the model may pass it on
    assert found["other.e"] is None  # nobody else sees it


def test_axes_are_named_after_what_produces_them():
    model = nn.Sequential(
        conv(3, 12, groups=3), nn.ReLU(), nn.ConvTranspose2d(12, 5, 2), conv(5, 4)
    )
    graph = trace(model, torch.ones(1, 3, 6, 6))

    assert {axis.name: axis.size for axis in graph.axes.values() if not axis.frozen_because} == {
        "0": 4,
        "2": 5,
    }
    assert graph.output_dims["2.weight"] == 1
    assert graph.output_dims["3.weight"] == 0


def test_parameters_that_are_views_of_each_other_stay_whole():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6, bias=False), nn.Linear(6, 4))
    model[2].weight = nn.Parameter(model[0].weight.data.t())
    axes = trace(model, torch.randn(2, 6)).axes
    assert "'0.weight' and '2.weight' lie in the same memory" in (axes["0"].frozen_because or "")


def test_parameters_side_by_side_in_one_memory_are_free():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    flat = torch.cat([model[0].weight.detach().flatten(), model[2].weight.detach().flatten()])
    model[0].weight = nn.Parameter(flat[:48].view(8, 6))
    model[2].weight = nn.Parameter(flat[48:].view(4, 8))
    assert trace(model, torch.randn(2, 6)).axes["0"].frozen_because is None
