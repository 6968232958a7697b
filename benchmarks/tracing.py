"""Tracing, scoring and cutting whole models: prunus against Torch-Pruning; growth and memory.

    python benchmarks/tracing.py                                           # all, one thread
    python benchmarks/tracing.py --models resnet50 --output /dev/null      # a quick look

Three figures. Seconds from the dense model to one with half the units in every group, both sides
in one process per model, in turns, each time on a fresh copy; both cut in place, and prunus
does not run its check, which Torch-Pruning has not (the time with the check stands beside it).
Seconds against the number of operators of a growing stack, with the exponent of the fit. Peak
memory that a trace of a decoder of 7 billion parameters on the meta device adds.

Needs torchvision, and torch-pruning for its side; where that fails its error is written down.
"""

import argparse
import copy
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import prunus

RESULT = Path(__file__).parent / "results" / "tracing.json"
STACK = (100, 200, 400, 800, 1600, 3200, 6400)


# -- models -----------------------------------------------------------------------------------


class Block(nn.Module):
    """One layer of a decoder: attention with grouped queries, and a gated perceptron."""

    def __init__(self, width: int, heads: int, groups: int, hidden: int) -> None:
        super().__init__()
        self.head_dim = width // heads
        self.before, self.between = nn.RMSNorm(width), nn.RMSNorm(width)
        self.query = nn.Linear(width, heads * self.head_dim, bias=False)
        self.key = nn.Linear(width, groups * self.head_dim, bias=False)
        self.value = nn.Linear(width, groups * self.head_dim, bias=False)
        self.out = nn.Linear(heads * self.head_dim, width, bias=False)
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def split(self, x: Tensor) -> Tensor:
        """(batch, positions, heads * head_dim) -> (batch, heads, positions, head_dim)."""
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, positions, width) -> the same."""
        y = self.before(x)
        mixed = F.scaled_dot_product_attention(
            self.split(self.query(y)), self.split(self.key(y)), self.split(self.value(y)),
            is_causal=True, enable_gqa=True,
        )  # fmt: skip
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        y = self.between(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


def decoder(
    *, layers: int, width: int, heads: int, groups: int, hidden: int, words: int
) -> nn.Sequential:
    """Return a decoder: words, `layers` blocks, a norm and a head."""
    blocks = [Block(width, heads, groups, hidden) for _ in range(layers)]
    head = nn.Linear(width, words, bias=False)
    return nn.Sequential(nn.Embedding(words, width), *blocks, nn.RMSNorm(width), head)


def small_decoder() -> tuple[nn.Module, Tensor]:
    """Return 24 layers of 256."""
    model = decoder(layers=24, width=256, heads=8, groups=4, hidden=704, words=1000)
    return model, torch.randint(1000, (1, 32))


def seven_billion() -> nn.Module:
    """Return a decoder of 7 billion parameters on the meta device."""
    with torch.device("meta"):
        return decoder(layers=32, width=4096, heads=32, groups=8, hidden=14336, words=32000)


def of_torchvision(name: str) -> Callable[[], tuple[nn.Module, Tensor]]:
    def build() -> tuple[nn.Module, Tensor]:
        from torchvision import models

        return models.get_model(name, weights=None), torch.randn(1, 3, 224, 224)

    return build


MODELS: Mapping[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    **{
        name: of_torchvision(name)
        for name in ("resnet50", "densenet121", "vit_b_16", "convnext_tiny", "mobilenet_v3_large")
    },
    "decoder": small_decoder,
}


# -- the two sides ----------------------------------------------------------------------------


def with_prunus(model: nn.Module, inputs: Tensor, *, verify: bool = False) -> Mapping[str, float]:
    """Cut `model` in place; return the seconds of each stage."""
    budget = prunus.Budget(units=0.5)
    return prunus.prune(model, inputs, budget=budget, in_place=True, verify=verify).report.seconds


def with_torch_pruning(model: nn.Module, inputs: Tensor) -> None:
    """Cut `model` in place, with all that has to be typed in for it."""
    import torch_pruning

    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    pruner = torch_pruning.pruner.BasePruner(
        model,
        inputs,
        importance=torch_pruning.importance.MagnitudeImportance(p=2),
        pruning_ratio=0.5,
        global_pruning=False,
        ignored_layers=[last],
        num_heads=head_counts(model),
        unwrapped_parameters=loose_parameters(model),
    )
    pruner.step()


def head_counts(model: nn.Module) -> dict[nn.Module, int]:
    found: dict[nn.Module, int] = {}
    for module in model.modules():
        if isinstance(module, nn.MultiheadAttention):
            found[module] = module.num_heads
        elif isinstance(module, Block):
            for layer in (module.query, module.key, module.value):
                found[layer] = layer.out_features // module.head_dim
    return found


def loose_parameters(model: nn.Module) -> list[tuple[nn.Parameter, int]]:
    """Return the parameters that no layer holds, each with the dim to prune."""
    dims = {"layer_scale": 0, "class_token": 2, "pos_embedding": 2}
    return [
        (parameter, dims[name.rpartition(".")[2]])
        for name, parameter in model.named_parameters()
        if name.rpartition(".")[2] in dims
    ]


# -- measuring --------------------------------------------------------------------------------


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure_model(arguments: argparse.Namespace) -> dict[str, Any]:
    """Time both sides on one model, in turns; the first run of each is not counted."""
    torch.manual_seed(arguments.seed)
    model, inputs = MODELS[arguments.only]()
    model.eval()
    sides: dict[str, Callable[[nn.Module], Any]] = {
        "prunus": lambda fresh: with_prunus(fresh, inputs),
        "prunus_checked": lambda fresh: with_prunus(fresh, inputs, verify=True),
        "torch_pruning": lambda fresh: with_torch_pruning(fresh, inputs),
    }
    times: dict[str, list[float]] = {side: [] for side in sides}
    errors: dict[str, str] = {}
    for _ in range(1 + arguments.runs):
        for side in sides.keys() - errors.keys():
            fresh = copy.deepcopy(model)
            try:
                times[side].append(seconds(lambda: sides[side](fresh)))  # noqa: B023 - called at once
            except Exception as error:  # noqa: BLE001 - that it fails is the result
                errors[side] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
    stages = with_prunus(copy.deepcopy(model), inputs)
    result: dict[str, Any] = {"operators": len(prunus.trace(model, inputs).operators)}
    for side, found in times.items():
        if side in errors:
            result[side] = {"error": errors[side]}
        else:
            result[side] = {"first": found[0], "seconds": found[1:], "median": median(found[1:])}
    return result | {"stages": stages}


def stack(operators: int) -> tuple[nn.Module, Tensor]:
    """Return layers of a linear map and a ReLU: three operators each."""
    width = 16
    layers = [nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(operators // 3)]
    return nn.Sequential(*layers, nn.Linear(width, 4)), torch.randn(2, width)


def measure_stack(arguments: argparse.Namespace) -> dict[str, Any]:
    """Time prunus on stacks of more and more operators; fit seconds ~ operators ** exponent."""
    operators, times = [], []
    for size in arguments.stack:
        model, inputs = stack(size)
        operators.append(len(prunus.trace(model, inputs).operators))
        runs = [
            seconds(lambda: with_prunus(copy.deepcopy(model), inputs))  # noqa: B023 - called at once
            for _ in range(arguments.runs)
        ]
        times.append(median(runs))
    upper = slice(len(times) // 2, None)  # below, what every call costs weighs in
    exponent = np.polyfit(np.log(operators[upper]), np.log(times[upper]), 1)[0]
    return {"operators": operators, "seconds": times, "exponent": float(exponent)}


def measure_memory(_: argparse.Namespace) -> dict[str, Any]:
    """Trace a decoder of 7 B parameters on the meta device; return what the peak grew by."""
    prunus.trace(nn.Linear(2, 2), torch.ones(1, 2))  # loads what is loaded at first use
    model = seven_billion()
    inputs = torch.zeros(1, 512, dtype=torch.long, device="meta")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken = seconds(lambda: prunus.trace(model, inputs))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": taken,
        "extra_bytes": (after - before) * 1024,
        "peak_bytes": after * 1024,
    }


MEASURES: Mapping[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "stack": measure_stack,
    "memory": measure_memory,
}


def in_own_process(what: str, arguments: argparse.Namespace) -> Any:
    command = [sys.executable, __file__, "--only", what, "--stack", *map(str, arguments.stack)]
    for name in ("runs", "seed", "threads"):
        command += [f"--{name}", str(getattr(arguments, name))]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


# -- the whole --------------------------------------------------------------------------------


def times_faster(models: Mapping[str, Any]) -> dict[str, float]:
    """Return, for each model on which both sides ran, how many times faster prunus is."""
    return {
        name: each["torch_pruning"]["median"] / each["prunus"]["median"]
        for name, each in models.items()
        if "median" in each["torch_pruning"] and "median" in each["prunus"]
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything and return what the table needs."""
    models = {name: in_own_process(name, arguments) for name in arguments.models}
    faster = times_faster(models)
    logarithms = [math.log(times) for times in faster.values()]
    return {
        "claim": "trace, score and cut: 3x faster than Torch-Pruning in geometric mean, slower on "
        "none; linear in the number of operators; a decoder of 7 B parameters in under 2 GB",
        "models": models,
        "times_faster": faster,
        "geometric_mean": math.exp(sum(logarithms) / len(logarithms)) if logarithms else None,
        "stack": in_own_process("stack", arguments),
        "memory": in_own_process("memory", arguments),
        "command": " ".join(["python", "benchmarks/tracing.py", *sys.argv[1:]]),
        "runs": arguments.runs,
        "seed": arguments.seed,
        "date": datetime.now(UTC).date().isoformat(),
        "cpus": os.cpu_count(),
        "threads": arguments.threads,
        "torch": torch.__version__,
        "python": sys.version.split()[0],
        "versions": {name: version_of(name) for name in ("torchvision", "torch-pruning")},
    }


def version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS))
    parser.add_argument("--stack", nargs="*", type=int, default=STACK, help="sizes in operators")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULT, help="where the figures go")
    parser.add_argument("--only", choices=[*MODELS, *MEASURES], help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    if arguments.only:
        print(json.dumps(MEASURES.get(arguments.only, measure_model)(arguments)))
        return
    result = run(arguments)
    for name, times in result["times_faster"].items():
        print(f"{name:20}{result['models'][name]['prunus']['median']:7.2f} s {times:6.1f} x faster")
    print(f"geometric mean {result['geometric_mean']}; exponent {result['stack']['exponent']:.2f}")
    print(f"7 B parameters: {result['memory']['extra_bytes'] / 1e6:.0f} MB extra")
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
