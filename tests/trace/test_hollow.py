"""What an operator makes of tensors without numbers is what it makes of real ones."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from prunus.inputs import map_tensors, tensors_in
from prunus.trace.hollow import Hollow, Hollowed, Unknowable, execute, hollow, memory_of

aten = torch.ops.aten
IMAGES, WEIGHT = torch.ones(2, 4, 6, 6), torch.ones(8, 4, 3, 3)
LAST = torch.channels_last


def form(tensor):
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device


def agree(function, *args):
    """Run on real and on hollow tensors, twice: the second time from what is remembered."""
    real = list(tensors_in(function(*map_tensors(torch.clone, args))))
    for _ in range(2):
        with torch.no_grad(), Hollowed():
            made = list(tensors_in(function(*map_tensors(hollow, args))))
        assert [form(tensor) for tensor in made] == [form(tensor) for tensor in real]
        assert all(isinstance(tensor, Hollow) for tensor in made)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.relu() + 1,
        lambda x: x.permute(0, 2, 3, 1).mul(2.0),
        lambda x: x.mean((2, 3)).to(torch.float16),
        lambda x: x.long() * 1,
        lambda x: x.long() * 1.0,
        lambda x: x.long() / True,
        lambda x: torch.split(x, [1, 3], dim=1),
        lambda x: torch.cat([x, x.flip(1)], dim=1),
        lambda x: x.topk(2, dim=1),
        lambda x: (x > 0, x.argmax(1), x.to(memory_format=LAST)),
        lambda x: F.conv1d(x.flatten(2), x.new_ones(3, 4, 3)),
        lambda x: F.interpolate(x, scale_factor=2.0),
        lambda x: x[:, torch.tensor([0, 2])],
        lambda x: torch.zeros(3) + x.new_ones(2, 3),
        lambda x: torch.zeros_like(x, dtype=torch.bool),
        lambda x: x.squeeze_(0).unsqueeze_(0).transpose_(0, 1).t_() if x.dim() == 2 else x,
    ],
)
def test_operators_agree_with_real_tensors(function):
    agree(function, IMAGES.clone())
    agree(function, IMAGES.contiguous(memory_format=LAST))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, LAST])
def test_convolutions_leave_their_memory_format(memory_format):
    agree(F.conv2d, IMAGES.contiguous(memory_format=memory_format), WEIGHT)
    agree(F.conv2d, IMAGES, WEIGHT.contiguous(memory_format=memory_format))


@pytest.mark.parametrize("size", [1, 3])
def test_a_shape_that_changes_in_place(size):
    agree(lambda x: x.unsqueeze_(1).transpose_(0, 2), torch.ones(size, 4))


def test_what_is_made_of_numbers_alone_has_its_numbers():
    with Hollowed():
        positions, blank = torch.arange(3).float().cos(), torch.zeros(3)
    assert positions.tolist() == torch.arange(3).float().cos().tolist()
    assert isinstance(blank, Hollow)


def test_views_lie_in_the_memory_of_their_base():
    x = hollow(IMAGES)
    with Hollowed():
        same = [x.view(-1), x[0], x.relu_(), x.detach(), *x.split(2, 1)]
        other = [x.relu(), x.clone(), x.flatten(1) + 1]
    assert all(memory_of(tensor) is memory_of(x) for tensor in same)
    assert not any(memory_of(tensor) is memory_of(x) for tensor in other)


def test_what_is_written_in_place_stays_the_same_tensor():
    x = hollow(IMAGES)
    assert execute(aten.relu_.default, (x,), {}) is x


def test_real_tensors_alone_are_computed_with():
    with Hollowed():
        assert (torch.tensor([1, 2]) * 3).tolist() == [3, 6]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: IMAGES.add_(x),
    ],
)
def test_what_needs_numbers_is_refused(function):
    with pytest.raises((Unknowable, NotImplementedError), match=r"numbers|data"), Hollowed():
        function(hollow(IMAGES))


@pytest.mark.parametrize("function", [lambda x: x.numpy(), lambda x: x.tolist(), lambda x: x + 1])
def test_nothing_reads_a_hollow_tensor(function):
    with pytest.raises((Unknowable, RuntimeError)):
        function(hollow(IMAGES))


def test_the_device_is_that_of_the_real_tensor():
    scale = hollow(torch.ones(()))
    elsewhere = hollow(IMAGES.to("meta"))
    with Hollowed():
        assert (elsewhere * scale).device.type == "meta"
        assert elsewhere.to("cpu").device.type == "cpu"
        with pytest.raises(Unknowable, match="tensors on"):
            elsewhere + hollow(IMAGES)


def test_a_whole_network():
    layers = nn.Sequential(
        nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(32, 8), nn.LayerNorm(8), nn.GELU(), nn.Softmax(-1),
    ).eval()  # fmt: skip
    agree(layers, IMAGES)
