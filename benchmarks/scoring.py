"""What scoring costs, per criterion: seconds and memory, on two networks in two sizes each.

    python benchmarks/scoring.py                                    # about 4 minutes
    python benchmarks/scoring.py --criteria magnitude taylor --output /dev/null

A ResNet-50 and a transformer of 100 M parameters, both written here, and of each one of half the
parameters: the cost should grow as they do. Single weights are scored where the criterion can,
channels where it cannot. The clock runs over the collection of signals and the reading of all
scores, with one batch of data; tracing comes before. Each measurement runs in a process of its
own, forked from one that holds the model, and is stopped after `--limit` seconds. Extra memory is
the peak of its resident set above what it held at the start.
"""

import argparse
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prunus import criteria, units
from prunus.criteria import Criterion, Synflow
from prunus.errors import CriterionError
from prunus.records import Groups
from prunus.signals import collect
from prunus.trace import trace

RESULT = Path(__file__).parent / "results" / "scoring.json"
ONE_ROUND = {"synflow": Synflow(rounds=1)}  # its rounds cost alike
REPEATED = 0.5  # seconds: what takes longer is timed once
PAGE = os.sysconf("SC_PAGE_SIZE")


# -- the networks; legend: B items, T tokens, D features, H heads ------------------------------


class Bottleneck(nn.Module):
    """Three convolutions beside a shortcut, as in ResNet-50."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        sizes = [(in_channels, width, 1, 1), (width, width, 3, stride), (width, 4 * width, 1, 1)]
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, k, s, padding=k // 2, bias=False) for i, o, k, s in sizes
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for _, o, _, _ in sizes)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != 4 * width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, 4 * width, 1, stride, bias=False),
                nn.BatchNorm2d(4 * width),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, 4 * width, H / stride, W / stride)."""
        branch = F.relu(self.norms[0](self.convs[0](x)))
        branch = F.relu(self.norms[1](self.convs[1](branch)))
        return F.relu(self.norms[2](self.convs[2](branch)) + self.shortcut(x))


def resnet50(width: int) -> nn.Sequential:
    """Return a ResNet-50 (He et al. 2015) whose first stage has `width` channels; 64 as there."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, width, 7, 2, padding=3, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.MaxPool2d(3, 2, padding=1),
    ]  # fmt: skip
    channels = width
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            layers.append(Bottleneck(channels, width * 2**stage, stride))
            channels = 4 * width * 2**stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


class Block(nn.Module):
    """Attention and a perceptron, each behind a layer norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // 64
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        y = self.norm1(x)
        split = [
            layer(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        ]
        attended = F.scaled_dot_product_attention(*split)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))  # type: ignore[no-any-return]


def transformer(layers: int) -> nn.Sequential:
    """Return a transformer of the width of BERT-base, with a smaller vocabulary."""
    blocks = [Block(768) for _ in range(layers)]
    return nn.Sequential(nn.Embedding(10_000, 768), *blocks, nn.LayerNorm(768), nn.Linear(768, 2))


class Network(NamedTuple):
    """How to build a network of some size, and its data."""

    build: Callable[[int], nn.Module]
    sizes: tuple[int, int]  # of half the parameters, and of all
    batch: Callable[[], tuple[Tensor, Tensor]]


NETWORKS: Mapping[str, Network] = {
    "resnet50": Network(
        resnet50, (45, 64), lambda: (torch.randn(4, 3, 64, 64), torch.randint(1000, (4,)))
    ),
    "transformer": Network(
        transformer, (6, 13), lambda: (torch.randint(10_000, (2, 32)), torch.randint(2, (2,)))
    ),
}


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy; of the first token where there are tokens."""
    return F.cross_entropy(outputs[:, 0] if outputs.dim() == 3 else outputs, targets)


# -- measuring --------------------------------------------------------------------------------


class Subject(NamedTuple):
    """A network that is ready to be scored."""

    model: nn.Module
    batch: tuple[Tensor, Tensor]
    groups: Mapping[str, Groups]  # by granularity

    @classmethod
    def of(cls, network: Network, size: int) -> "Subject":
        """Build and trace it."""
        torch.manual_seed(0)
        model, batch = network.build(size).eval(), network.batch()
        graph = trace(model, batch[0])
        groups = {
            granularity: {
                name: group
                for name, group in units.groups(graph, granularity).items()
                if group.frozen_because is None
            }
            for granularity in ("weight", "channel")
        }
        return cls(model, batch, groups)


def score(subject: Subject, criterion: Criterion, granularity: str) -> None:
    """Collect the signals and read every score once; keep none."""
    groups = subject.groups[granularity]
    signals = collect(
        subject.model, groups, [criterion], data=[subject.batch], loss=loss, inputs=subject.batch[0]
    )
    scores = criteria.scores(criterion, groups, signals)
    for name in groups:
        for _ in scores.stream(name):
            pass


def timed(subject: Subject, criterion: Criterion, granularity: str) -> float:
    start = time.perf_counter()
    score(subject, criterion, granularity)
    return time.perf_counter() - start


def measure(subject: Subject, name: str) -> dict[str, Any]:
    """Score once for the memory and to warm up, and again for the time unless that took long."""
    criterion = ONE_ROUND.get(name) or criteria.get(name)
    before = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    granularity, why = "weight", ""
    try:
        seconds = [timed(subject, criterion, granularity)]
    except CriterionError as error:
        granularity, why = "channel", str(error.what)
        try:
            seconds = [timed(subject, criterion, granularity)]
        except CriterionError as also:
            return {"refused": [why, also.what]}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if seconds[0] < REPEATED:
        seconds = [timed(subject, criterion, granularity) for _ in range(3)]
    return {
        "granularity": granularity,
        "seconds": seconds,
        "median_seconds": median(seconds),
        "extra_bytes": max(peak - before, 0),
    }


def forked(work: Callable[[], dict[str, Any]], *, limit: float) -> dict[str, Any]:
    """Return what `work` returns in a forked process, or that it took longer than `limit`."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(int(limit))  # ends this process, and only this
        os.close(reader)
        with os.fdopen(writer, "w") as pipe:
            json.dump(work(), pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        written = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return {"longer_than": limit}
    if status:
        raise SystemExit(f"a measurement failed with status {status}")
    result: dict[str, Any] = json.loads(written)
    return result


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every criterion on every network and return what the table needs."""
    networks: dict[str, Any] = {}
    for name, network in NETWORKS.items():
        networks[name] = []
        for size in network.sizes:
            subject = Subject.of(network, size)
            params = sum(parameter.numel() for parameter in subject.model.parameters())
            measured = {}
            for criterion in arguments.criteria:
                work = partial(in_child, subject, criterion, threads=arguments.threads)
                measured[criterion] = forked(work, limit=arguments.limit)
                print(
                    f"{name:12}{params / 1e6:6.1f} M {criterion:20}{measured[criterion]}",
                    flush=True,
                )
            networks[name].append({"params": params, "criteria": measured})
    return {
        "claim": "what scoring costs grows as the parameters do",
        "networks": networks,
        "command": " ".join(["python", "benchmarks/scoring.py", *sys.argv[1:]]),
        "seed": 0,
        "date": datetime.now(UTC).date().isoformat(),
        "cpus": os.cpu_count(),
        "threads": arguments.threads,
        "torch": torch.__version__,
        "python": sys.version.split()[0],
    }


def in_child(subject: Subject, criterion: str, *, threads: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    return measure(subject, criterion)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--criteria", nargs="+", default=criteria.names(), help="names")
    parser.add_argument("--limit", type=int, default=12, help="seconds for one measurement")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--output", type=Path, default=RESULT, help="where the figures go")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    torch.set_num_threads(1)  # a process that has started threads cannot be forked
    result = run(arguments)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
