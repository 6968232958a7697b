"""Small reference networks for images: what the demo, the studies and the tests train.

They are written as people write networks, with no thought of pruning. Weights are initialised by
PyTorch: call `torch.manual_seed` before building one.

Legend: B items of a batch, C channels, H height, W width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mlp(*, in_features: int = 64, classes: int = 10, width: int = 64) -> nn.Sequential:
    """Return a perceptron with two hidden layers.

    Args:
        in_features: Numbers of one input, C * H * W.
        classes: Outputs.
        width: Neurons of each hidden layer.

    Example:
        >>> mlp()(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(in_features, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, classes),
    )


class LeNet(nn.Module):
    """Two convolutions with pooling, then three linear layers (LeCun et al. 1998), with ReLU."""

    def __init__(self, *, in_channels: int, classes: int, size: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5, padding=2)
        self.num_features = 16 * (size // 4) ** 2
        self.fc1 = nn.Linear(self.num_features, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, classes)."""
        x = F.max_pool2d(F.relu(self.conv1(images)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, self.num_features)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)  # type: ignore[no-any-return]


def lenet(*, in_channels: int = 1, classes: int = 10, size: int = 8) -> LeNet:
    """Return a LeNet for images of `size` x `size` pixels.

    Example:
        >>> lenet(size=28)(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """
    return LeNet(in_channels=in_channels, classes=classes, size=size)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        branch = F.relu(self.bn1(self.conv1(x)))
        branch = self.bn2(self.conv2(branch))
        return F.relu(branch + self.shortcut(x))


class DenseBlock(nn.Module):
    """Concatenates its input with new channels (Huang et al. 2016, arXiv:1608.06993)."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, growth, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(growth)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, in_channels + growth, H, W)."""
        return torch.cat([x, F.relu(self.bn(self.conv(x)))], dim=1)


class SeparableBlock(nn.Module):
    """A depthwise, then a pointwise convolution (Howard et al. 2017, arXiv:1704.04861)."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False
        )
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        x = F.relu(self.bn1(self.depthwise(x)))
        return F.relu(self.bn2(self.pointwise(x)))


class ResNet(nn.Module):
    """A small residual network with a concatenation and a depthwise convolution in it."""

    def __init__(self, *, in_channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.block1 = ResidualBlock(width, width)
        self.block2 = ResidualBlock(width, 2 * width, stride=2)
        self.dense = DenseBlock(2 * width, width)
        self.separable = SeparableBlock(3 * width, 4 * width, stride=2)
        self.head = nn.Linear(4 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, classes)."""
        x = self.block1(self.stem(images))
        x = self.dense(self.block2(x))
        x = self.separable(x).mean(dim=(2, 3))
        return self.head(x)  # type: ignore[no-any-return]


def resnet(*, in_channels: int = 1, classes: int = 10, width: int = 16) -> ResNet:
    """Return a small residual network for images of any size.

    Args:
        in_channels: Channels of the images.
        classes: Outputs.
        width: Channels of the first stage; parameters grow with its square, 28 k at 16.

    Example:
        >>> resnet()(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    return ResNet(in_channels=in_channels, classes=classes, width=width)
