import pytest
import torch
from torch import nn

from prunus.networks import lenet, mlp, resnet

BUILDERS = {
    "mlp": (mlp, (1, 8, 8)),
    "lenet": (lenet, (1, 8, 8)),
    "resnet": (resnet, (1, 8, 8)),
}
each_network = pytest.mark.parametrize(("build", "shape"), BUILDERS.values(), ids=BUILDERS)


@each_network
def test_logits(build, shape):
    assert build(classes=7)(torch.zeros(3, *shape)).shape == (3, 7)


@each_network
def test_every_parameter_is_reached(build, shape):
    model = build()
    model(torch.randn(4, *shape)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@each_network
def test_a_seed_gives_the_same_weights(build, shape):
    torch.manual_seed(3)
    first = build()
    torch.manual_seed(3)
    second = build()
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("size", [8, 28, 33])
def test_resnet_takes_images_of_any_size_and_colour(size):
    assert resnet(in_channels=3)(torch.zeros(2, 3, size, size)).shape == (2, 10)


def test_lenet_is_built_for_a_size():
    assert lenet(size=28, in_channels=3)(torch.zeros(2, 3, 28, 28)).shape == (2, 10)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_parameters_grow_with_the_square_of_the_width():
    assert parameters(resnet()) == 28_394
    assert 3.5 < parameters(resnet(width=32)) / parameters(resnet(width=16)) < 4


def test_resnet_has_a_concatenation_and_a_depthwise_convolution():
    model = resnet(width=4)
    x = torch.randn(1, 8, 4, 4)
    assert torch.equal(model.dense(x)[:, :8], x)
    assert model.separable.depthwise.groups == model.separable.depthwise.in_channels == 12
