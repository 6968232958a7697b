"""A network with one of each thing that is hard to save, and a plan that cuts it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from prunus.extents import Extent, Leaf, Product
from prunus.records import Kept, Plan, SizeAttribute
from prunus.save import write
from prunus.shrink import shrink

WIDTH, SIZE = 8, 4

collect_ignore = ["conftest.py"]  # it holds no doctests, and its name is not unique


class Network(nn.Module):
    """A size in Python, tied weights, persistent and other buffers, a scalar, bfloat16."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.width = width
        self.conv = nn.Conv2d(3, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width * SIZE * SIZE, 6)
        self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 6)
        self.two.weight = self.one.weight
        self.scale = nn.Parameter(torch.randn(6, dtype=torch.bfloat16))
        self.register_buffer("place", torch.arange(width).float(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv(images))) * self.place[:, None, None]
        x = self.fc(x.view(-1, self.width * SIZE * SIZE))
        return self.two(torch.relu(self.one(x))) * self.scale


@pytest.fixture
def build() -> Callable[..., Network]:
    return Network


@pytest.fixture
def inputs() -> Tensor:
    return torch.randn(2, 3, SIZE, SIZE)


@pytest.fixture
def plan() -> Plan:
    return make_plan()


def make_plan() -> Plan:
    width, kernel, space = Leaf(WIDTH, "conv"), Leaf(3), Leaf(SIZE)
    tensors: dict[str, tuple[Extent, ...]] = {
        "conv.weight": (width, Leaf(3), kernel, kernel),
        "fc.weight": (Leaf(6), Product((width, space, space))),
    }
    vectors = "conv.bias norm.weight norm.bias norm.running_mean norm.running_var place"
    return Plan(
        granularity="channel",
        kept={"conv": Kept.of(torch.tensor([1, 0, 1, 1, 0, 0, 1, 0], dtype=torch.bool))},
        tensors=tensors | {name: (width,) for name in vectors.split()},
        attributes=(
            SizeAttribute("", "width", width),
            SizeAttribute("conv", "out_channels", width),
            SizeAttribute("norm", "num_features", width),
            SizeAttribute("fc", "in_features", Product((width, space, space))),
        ),
        provenance={"budget": "units=0.5", "criterion": "Magnitude(p=2)", "seed": 3},
    )


@pytest.fixture
def small(plan: Plan) -> nn.Module:
    """The pruned network, after a little training."""
    model = shrink(Network(), plan)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(4, 3, SIZE, SIZE)).square().mean().backward()
    optimizer.step()
    return model.eval()


@pytest.fixture
def folder(tmp_path: Path, small: nn.Module, plan: Plan) -> Path:
    """The pruned network, saved."""
    write(tmp_path / "small", model=small, plan=plan)
    return tmp_path / "small"
