"""Networks written for the zoo: those of prunus itself, and families that no library ships."""

from itertools import pairwise

import torch
from benchmarks.zoo.network import Network, Networks, images, indices, numbers
from torch import Tensor, nn
from torch.nn import functional as F

from prunus import networks as ours


def conv(inputs: int, outputs: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Module:
    """Return convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """U-Net (Ronneberger et al., 2015, arXiv:1505.04597)."""

    def __init__(self, width: int = 16, depth: int = 3) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.first = nn.Sequential(conv(3, width), conv(width, width))
        self.down = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), conv(a, b), conv(b, b)) for a, b in pairwise(widths)
        )
        pairs = list(pairwise(widths))[::-1]
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in pairs)
        self.join = nn.ModuleList(nn.Sequential(conv(2 * a, a), conv(a, a)) for a, _ in pairs)
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 2, H, W)."""
        levels = [self.first(x)]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat([levels.pop(), up(x)], 1))
        return self.head(x)


class Generator(nn.Module):
    """DCGAN's generator (Radford et al., 2015, arXiv:1511.06434)."""

    def __init__(self, latent: int = 32, width: int = 16) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.ConvTranspose2d(latent, 4 * width, 4),
            nn.BatchNorm2d(4 * width), nn.ReLU(),
            nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1),
            nn.BatchNorm2d(2 * width), nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1),
            nn.BatchNorm2d(width), nn.ReLU(),
            nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z: Tensor) -> Tensor:
        """(B, latent) -> (B, 3, 32, 32)."""
        return self.net(z[:, :, None, None])


def discriminator(width: int = 16) -> nn.Module:
    """Return DCGAN's discriminator, with spectral norm (Miyato et al., 2018, arXiv:1802.05957)."""
    norm = nn.utils.parametrizations.spectral_norm
    return nn.Sequential(
        norm(nn.Conv2d(3, width, 4, 2, 1)), nn.LeakyReLU(0.2),
        norm(nn.Conv2d(width, 2 * width, 4, 2, 1)), nn.LeakyReLU(0.2),
        norm(nn.Conv2d(2 * width, 4 * width, 4, 2, 1)), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(4 * width * 16, 1),
    )  # fmt: skip


def plain_discriminator(width: int = 16) -> nn.Module:
    """Return DCGAN's discriminator as it was published, with batch norm."""
    return nn.Sequential(
        nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, 2, 1), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 4 * width, 4, 2, 1), nn.BatchNorm2d(4 * width), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(4 * width * 16, 1),
    )  # fmt: skip


class Recurrent(nn.Module):
    """Embedding, a recurrent network, and a classifier of its last state."""

    def __init__(self, kind: type[nn.RNNBase], *, both_ways: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 24)
        self.layers = kind(24, 32, 2, batch_first=True, bidirectional=both_ways)
        self.head = nn.Linear(32 * (1 + both_ways), 5)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, 5)."""
        states, _ = self.layers(self.embed(tokens))
        return self.head(states[:, -1])


class MixerBlock(nn.Module):
    """A block of MLP-Mixer (Tolstikhin et al., 2021, arXiv:2105.01601)."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.tokens = nn.Sequential(nn.Linear(tokens, 64), nn.GELU(), nn.Linear(64, tokens))
        self.channels = nn.Sequential(nn.Linear(width, 128), nn.GELU(), nn.Linear(128, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, tokens, width) -> the same."""
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class Mixer(nn.Module):
    """MLP-Mixer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.blocks = nn.Sequential(*(MixerBlock(16, 32) for _ in range(2)))
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 32, 32) -> (B, 10)."""
        return self.head(self.blocks(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


class WaveNet(nn.Module):
    """Gated dilated convolutions with skips (van den Oord et al., 2016, arXiv:1609.03499)."""

    def __init__(self, width: int = 16, layers: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, width, 1)
        self.gates = nn.ModuleList(
            nn.Conv1d(width, 2 * width, 2, dilation=2**i, padding=2**i) for i in range(layers)
        )
        self.back = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(layers))
        self.skip = nn.ModuleList(nn.Conv1d(width, 2 * width, 1) for _ in range(layers))
        self.last = nn.Sequential(
            nn.ReLU(), nn.Conv1d(2 * width, width, 1), nn.ReLU(), nn.Conv1d(width, 8, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, T) -> (B, 8, T)."""
        x, total = self.first(x), 0
        for gate, back, skip in zip(self.gates, self.back, self.skip, strict=True):
            value, open_ = gate(x)[..., : x.shape[-1]].chunk(2, 1)
            value = value.tanh() * open_.sigmoid()
            x, total = x + back(value), total + skip(value)
        return self.last(total)


class SuperResolution(nn.Module):
    """ESPCN (Shi et al., 2016, arXiv:1609.05158): pixel shuffle at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(3, 32, 5), conv(32, 24))
        self.tail = nn.Sequential(nn.Conv2d(24, 12, 3, 1, 1), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3, 2 H, 2 W)."""
        return self.tail(self.body(x)) + F.interpolate(x, scale_factor=2)


class PointNet(nn.Module):
    """PointNet (Qi et al., 2016, arXiv:1612.00593): one network on every point."""

    def __init__(self) -> None:
        super().__init__()
        self.points = nn.Sequential(
            nn.Conv1d(3, 32, 1), nn.BatchNorm1d(32), nn.ReLU(), nn.Conv1d(32, 64, 1), nn.ReLU()
        )
        self.head = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, points) -> (B, 10)."""
        return self.head(self.points(x).amax(2))


class VAE(nn.Module):
    """A variational autoencoder (Kingma and Welling, 2013, arXiv:1312.6114)."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 16))
        self.decode = nn.Sequential(nn.Linear(8, 48), nn.ReLU(), nn.Linear(48, 64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 64) -> its reconstruction, and the mean and log variance of the code."""
        mean, log_variance = self.encode(x).chunk(2, 1)
        code = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return self.decode(code), mean, log_variance


class TorchTransformer(nn.Module):
    """nn.Transformer from tokens to tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 32)
        self.net = nn.Transformer(32, 4, 2, 2, 128, batch_first=True)
        self.head = nn.Linear(32, 50)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, 50)."""
        return self.head(self.net(self.embed(tokens), self.embed(tokens.flip(1))))


def networks() -> Networks:
    """Yield the networks of prunus and of this file."""
    entries = [
        ("prunus mlp", lambda: ours.mlp(), images(8, 1)),
        ("prunus resnet", lambda: ours.resnet(), images(8, 1)),
        ("u-net", UNet, images(32)),
        ("gan generator", Generator, numbers(32)),
        ("gan discriminator", plain_discriminator, images(32)),
        ("gan discriminator, spectral norm", discriminator, images(32)),
        ("lstm", lambda: Recurrent(nn.LSTM), indices(50, 7)),
        ("lstm, both ways", lambda: Recurrent(nn.LSTM, both_ways=True), indices(50, 7)),
        ("gru", lambda: Recurrent(nn.GRU), indices(50, 7)),
        ("rnn", lambda: Recurrent(nn.RNN), indices(50, 7)),
        ("mlp-mixer", Mixer, images(32)),
        ("wavenet", WaveNet, numbers(1, 40)),
        ("super-resolution", SuperResolution, images(16)),
        ("pointnet", PointNet, numbers(3, 30)),
        ("variational autoencoder", VAE, numbers(64)),
        ("nn.Transformer", TorchTransformer, indices(50, 6)),
    ]
    for name, build, inputs in entries:
        yield Network(library="own", name=name, build=build, inputs=inputs)
