from models import IMAGES, LINES, SEQUENCES, VOLUMES, case, conv, linear, weight
from torch import nn
from torch.nn import functional as F


@case(LINES, lambda: {"a": nn.Conv1d(3, 8, 3), "b": nn.Conv1d(8, 4, 3)}, free={"a": 8})
def conv1d(net, x):
    return net.b(net.a(x).sigmoid())


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "b": conv(8, 4, stride=2)},
    free={"a": 8},
    kept={"a.in": "model input", "b": "model output"},
)
def conv2d(net, x):
    return net.b(net.a(x).sigmoid())


@case(VOLUMES, lambda: {"a": nn.Conv3d(3, 6, 3), "b": nn.Conv3d(6, 4, 1)}, free={"a": 6})
def conv3d(net, x):
    return net.b(net.a(x).sigmoid())


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "b": conv(8, 12, groups=4), "c": conv(12, 4)},
    free={"a": 4, "a#2": 2, "b": 3},
)
def grouped(net, x):
    return net.c(net.b(net.a(x).sigmoid()).sigmoid())


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "b": weight(12, 2, 3, 3), "c": conv(12, 4)},
    free={"a": 2, "b": 3},
    kept={"b#2": "size 4 is a literal"},
)
def grouped_by_a_literal(net, x):
    return net.c(F.conv2d(net.a(x), net.b, groups=4, padding=1))


@case(
    IMAGES,
    lambda: {"a": conv(3, 6), "b": conv(6, 12, groups=6), "c": conv(12, 4)},
    free={"a": 6, "b": 2},
)
def depthwise_with_multiplier(net, x):
    return net.c(net.b(net.a(x).sigmoid()).sigmoid())


@case(
    IMAGES,
    lambda: {"a": nn.ConvTranspose2d(3, 8, 2, stride=2), "b": nn.ConvTranspose2d(8, 4, 3)},
    free={"a": 8},
)
def transposed(net, x):
    return net.b(net.a(x).sigmoid())


@case(
    LINES,
    lambda: {
        "a": nn.Conv1d(3, 8, 3),
        "b": nn.ConvTranspose1d(8, 12, 3, groups=4),
        "c": nn.Conv1d(12, 4, 1),
    },
    free={"a": 4, "a#2": 2, "b": 3},
)
def transposed_grouped(net, x):
    return net.c(net.b(net.a(x).sigmoid()).sigmoid())


@case(
    VOLUMES,
    lambda: {"a": nn.ConvTranspose3d(3, 6, 2), "b": nn.Conv3d(6, 4, 1, bias=False)},
    free={"a": 6},
)
def transposed3d(net, x):
    return net.b(net.a(x))


@case(IMAGES, lambda: {"a": conv(3, 8, padding="same"), "b": conv(8, 4)}, free={"a": 8})
def padded_to_the_same_size(net, x):
    return net.b(net.a(x))


@case(
    IMAGES,
    lambda: {"a": conv(3, 8, padding_mode="circular"), "b": conv(8, 4, padding_mode="reflect")},
    free={"a": 8},
)
def padded_by_reflection(net, x):
    return net.b(net.a(x))


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "scan": nn.Conv1d(1, 1, 3, padding=1), "b": conv(8, 4)},
    kept={"a": "runs along the units"},
)
def over_the_channels(net, x):
    """Efficient channel attention: the channels are the positions that a kernel runs along."""
    y = net.a(x)
    gate = net.scan(y.mean((2, 3)).unsqueeze(1)).squeeze(1)
    return net.b(y * gate.sigmoid()[:, :, None, None])


@case(
    SEQUENCES,
    lambda: {"a": linear(6, 8), "scan": nn.Conv1d(5, 4, 3, padding=1), "b": linear(8, 4)},
    kept={"a": "runs along the units"},
)
def over_the_features(net, x):
    return net.b(net.scan(net.a(x[:, :5])))


@case(
    LINES,
    lambda: {"a": nn.Conv1d(3, 8, 3), "kernel": weight(4, 8, 3)},
    kept={"a": "not zero when removed"},
)
def weights_that_lose_their_zeros(net, x):
    return F.conv1d(net.a(x).sigmoid(), net.kernel.exp())


@case(
    LINES,
    lambda: {"a": nn.Conv1d(3, 8, 3), "kernel": weight(4, 8, 3)},
    free={"a": 8},
)
def inputs_that_keep_their_zeros(net, x):
    return F.conv1d(net.a(x).relu(), net.kernel.exp())


@case(
    IMAGES, lambda: {"a": conv(3, 8), "b": conv(8, 4), "stem": conv(3, 3)}, free={"stem": 3, "a": 8}
)
def unbatched(net, x):
    return net.b(net.a(net.stem(x[0])))
