import torch
from models import IMAGES, LINES, ROWS, VOLUMES, case, conv, linear
from torch import nn
from torch.nn import functional as F

ALONG = "runs along"


@case(IMAGES, lambda: {"a": conv(3, 8), "b": conv(8, 4)}, free={"a": 8})
def pooling(net, x):
    y = net.a(x)
    y = F.max_pool2d(y, 3, 1, padding=1) + F.avg_pool2d(y, 3, 1, padding=1) + F.lp_pool2d(y, 2, 1)
    return net.b(F.max_pool2d(y, 2, ceil_mode=True)), y.relu().sum(1)


@case(LINES, lambda: {"a": nn.Conv1d(3, 8, 3), "b": linear(8, 4)}, free={"a": 8})
def pooling1d(net, x):
    y = F.avg_pool1d(F.max_pool1d(net.a(x), 2), 2)
    return net.b((F.adaptive_avg_pool1d(y, 1) + F.adaptive_max_pool1d(y, 1)).squeeze(2))


@case(VOLUMES, lambda: {"a": nn.Conv3d(3, 6, 1), "b": linear(6, 4)}, free={"a": 6})
def pooling3d(net, x):
    y = F.avg_pool3d(F.max_pool3d(net.a(x), 2), 2)
    y = F.adaptive_avg_pool3d(y, 1) + F.adaptive_max_pool3d(y, 1)
    return net.b(F.adaptive_avg_pool3d(y, (1, 1, 2)).mean((2, 3, 4)))


@case(IMAGES, lambda: {"a": conv(3, 8), "b": linear(32, 4)}, free={"a": 8})
def adaptive_pooling(net, x):
    y = net.a(x)
    return net.b((F.adaptive_avg_pool2d(y, 2) + F.adaptive_max_pool2d(y, (2, 2))).flatten(1))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(4, 4)}, kept={"a": ALONG})
def pooling_of_units(net, x):
    return net.b(F.avg_pool1d(net.a(x).unsqueeze(1), 2).squeeze(1))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(8, 4)}, kept={"a": ALONG})
def smoothing_of_units(net, x):
    """The size does not change, and yet neighbours meet."""
    return net.b(F.avg_pool1d(net.a(x).unsqueeze(1), 3, 1, padding=1).squeeze(1))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(5, 4)}, kept={"a": ALONG})
def adaptive_pooling_of_units(net, x):
    """The size after a cut is what it was before."""
    return net.b(F.adaptive_avg_pool1d(net.a(x).unsqueeze(1), 5).squeeze(1))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(16, 4)}, kept={"a": ALONG})
def resizing_of_units(net, x):
    return net.b(F.interpolate(net.a(x).unsqueeze(1), scale_factor=2, mode="linear").squeeze(1))


@case(IMAGES, lambda: {"a": conv(3, 8), "b": conv(8, 4)}, free={"a": 8})
def resizing(net, x):
    y = net.a(x)
    modes = {"nearest": None, "bilinear": False, "bicubic": False, "nearest-exact": None}
    for mode, corners in modes.items():
        y = y + F.interpolate(net.a(x), size=y.shape[2:], mode=mode, align_corners=corners)
    small = F.interpolate(y, size=(5, 3), mode="bilinear", antialias=True)
    smaller = F.interpolate(y, size=(5, 3), mode="bicubic", antialias=True)
    return net.b(F.interpolate(y, scale_factor=2)), net.b(small + smaller), y.sum(1)


@case(LINES, lambda: {"a": nn.Conv1d(3, 8, 3), "b": nn.Conv1d(8, 4, 1)}, free={"a": 8})
def resizing1d(net, x):
    y = F.interpolate(net.a(x), scale_factor=2, mode="linear")
    y = F.interpolate(y, size=9) + F.interpolate(y, size=9, mode="nearest-exact")
    return net.b(y)


@case(VOLUMES, lambda: {"a": nn.Conv3d(3, 6, 1), "b": nn.Conv3d(6, 4, 1)}, free={"a": 6})
def resizing3d(net, x):
    y = F.interpolate(net.a(x), scale_factor=2, mode="trilinear")
    y = F.interpolate(y, size=(5, 4, 3)) + F.interpolate(y, size=(5, 4, 3), mode="nearest-exact")
    return net.b(y)


@case(IMAGES, lambda: {"a": conv(3, 8), "b": conv(8, 4)}, free={"a": 8})
def padding_in_space(net, x):
    y = net.a(x)
    size = (1, 2, 0, 1)
    y = F.pad(y, size, mode="reflect") + F.pad(y, size, mode="replicate") + F.pad(y, size)
    return net.b(F.pad(F.pad(y, (-1, 0, 2, -1)), (0, 0, 1, 0), value=3.0))


@case(LINES, lambda: {"a": nn.Conv1d(3, 8, 3), "b": nn.Conv1d(8, 4, 1)}, free={"a": 8})
def padding1d(net, x):
    y = net.a(x)
    return net.b(F.pad(y, (2, 1), "reflect") + F.pad(y, (1, 2), "replicate"))


@case(VOLUMES, lambda: {"a": nn.Conv3d(3, 6, 1), "b": nn.Conv3d(6, 4, 1)}, free={"a": 6})
def padding3d(net, x):
    y = net.a(x)
    size = (1, 0, 1, 0, 1, 0)
    return net.b(F.pad(y, size, "reflect") + F.pad(y, size, "replicate"))


@case(
    IMAGES,
    lambda: {"a": conv(3, 5), "b": conv(5, 8), "c": conv(8, 4)},
    free={"a": 5},
    kept={"b": "padding"},
)
def padding_of_channels(net, x):
    """The shortcut of the first ResNet, which has no weights."""
    y = net.a(x)
    return net.c(net.b(y).relu() + F.pad(y, (0, 0, 0, 0, 1, 2)))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(10, 4)}, kept={"a": ALONG})
def reflection_of_units(net, x):
    return net.b(F.pad(net.a(x).unsqueeze(1), (1, 1), mode="reflect").squeeze(1))


@case(ROWS, lambda: {"a": linear(6, 8), "b": linear(6, 4)}, kept={"a": "cropped"})
def cropping_of_units(net, x):
    return net.b(F.pad(net.a(x), (-1, -1)))


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "m": conv(8, 8), "b": conv(8, 4)},
    free={"a": 8},
)
def unpooling(net, x):
    y, places = F.max_pool2d(net.a(x), 2, return_indices=True)
    y = F.max_unpool2d(net.m(y), places, 2)
    return net.b(y), y.sum(1)


@case(VOLUMES, lambda: {"a": nn.Conv3d(3, 6, 1), "b": nn.Conv3d(6, 4, 1)}, free={"a": 6})
def unpooling3d(net, x):
    size = [2 * (side // 2) for side in x.shape[2:]]
    y, places = F.max_pool3d(net.a(x), 2, return_indices=True)
    return net.b(F.max_unpool3d(y, places, 2, output_size=size))


@case(LINES, lambda: {"a": nn.Conv1d(3, 8, 3, padding=1), "b": nn.Conv1d(8, 4, 1)}, free={"a": 8})
def unpooling1d(net, x):
    y, places = F.max_pool1d(net.a(x), 2, return_indices=True)
    return net.b(F.max_unpool1d(y, places, 2))


@case(IMAGES, lambda: {"a": conv(3, 8), "b": conv(8, 4)}, free={"a": 8})
def pooling_at_given_places(net, x):
    y = net.a(x)
    samples = y[:, :, 0, :2].detach().sigmoid() * 0.9
    z, places = F.fractional_max_pool2d(y, 2, 3, return_indices=True, _random_samples=samples)
    return net.b(z), z.sum(1), net.b(places.double())


@case(VOLUMES, lambda: {"a": nn.Conv3d(3, 6, 1), "b": nn.Conv3d(6, 4, 1)}, free={"a": 6})
def pooling_at_given_places3d(net, x):
    y = net.a(x)
    samples = y[:, :, 0, 0, :3].detach().sigmoid() * 0.9
    return net.b(F.fractional_max_pool3d(y, 2, 2, _random_samples=samples))


@case(IMAGES, lambda: {"a": conv(3, 8), "b": conv(8, 4)}, kept={"a": "random"})
def pooling_at_random_places(net, x):
    return net.b(F.fractional_max_pool2d(net.a(x), 2, 3))


@case(IMAGES, lambda: {"a": conv(3, 8), "b": conv(8, 4)}, free={"a": 8})
def sampled_on_a_grid_of_its_size(net, x):
    """The grid takes the whole shape, but has no channels."""
    y = net.a(x)
    turn = torch.eye(2, 3).double().expand(y.shape[0], 2, 3)
    return net.b(F.grid_sample(y, F.affine_grid(turn, y.shape, False), align_corners=False))
