"""Global magnitude selection over all weights: prunus against torch.nn.utils.prune.

    python benchmarks/selection.py                                        # 100 M weights
    python benchmarks/selection.py --numel 4_000_000 --output /dev/null   # a quick look

Each side runs in a process of its own: it builds the same linear layers, chooses the weights of
least magnitude over all layers and sets them to zero. The clock runs from the dense model to the
zeroed one. Extra memory is the peak of the resident set above what the model and the libraries
took before. The zeros of both must be the same, up to weights of equal magnitude.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from math import isqrt
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from prunus.allocate import Budget, allocate
from prunus.records import Group, Kept, Scores

RESULT = Path(__file__).parent / "results" / "selection.json"
LAYERS = 6
PIECE = 2**18


def build(numel: int, *, seed: int) -> nn.Sequential:
    """Return `LAYERS` square linear layers without bias, of `numel` weights or a few less."""
    torch.manual_seed(seed)
    width = isqrt(numel // LAYERS)
    layers = [nn.utils.skip_init(nn.Linear, width, width, bias=False) for _ in range(LAYERS)]
    for layer in layers:
        nn.init.normal_(layer.weight, std=0.02)
    return nn.Sequential(*layers)


# -- the two sides ----------------------------------------------------------------------------


def magnitudes(weights: Mapping[str, Tensor], name: str) -> Iterator[Tensor]:
    """Yield |weight| of one tensor in pieces."""
    for piece in weights[name].detach().flatten().split(PIECE):
        yield piece.abs()


class DenseCosts:
    """All that is asked for where weights are zeroed: the number of parameters."""

    def __init__(self, model: nn.Module) -> None:
        self._params = sum(p.numel() for p in model.parameters())

    def params(self, _: Any, /) -> int:
        """Return the number of parameters."""
        return self._params


def zero(weight: Tensor, kept: Kept) -> None:
    """Set the weights that are not kept to zero, in place, a piece at a time."""
    flat, bits = weight.detach().view(-1).numpy(), kept.bits.numpy()
    for start in range(0, flat.size, PIECE):
        piece = flat[start : start + PIECE]
        stays = np.unpackbits(bits[start // 8 : (start + PIECE) // 8], count=piece.size)
        np.multiply(piece, stays, out=piece)


def with_prunus(model: nn.Sequential, sparsity: float) -> None:
    weights = dict(model.named_parameters())
    groups = {name: Group(name, "weight", w.numel(), members=()) for name, w in weights.items()}
    kept = allocate(
        groups,
        scores=Scores("magnitude", partial(magnitudes, weights)),
        budget=Budget(sparsity=sparsity),
        allocation="global",
        costs=DenseCosts(model),
    )
    for name, which in kept.items():
        zero(weights[name], which)


def with_torch(model: nn.Sequential, sparsity: float) -> None:
    numel = DenseCosts(model).params({})
    zeros = numel - Budget(sparsity=sparsity).limit("sparsity", dense=numel)
    prune.global_unstructured(
        [(layer, "weight") for layer in model],
        pruning_method=prune.L1Unstructured,
        amount=zeros,
    )


SIDES: dict[str, Callable[[nn.Sequential, float], None]] = {
    "prunus": with_prunus,
    "torch": with_torch,
}


# -- measuring --------------------------------------------------------------------------------


def resident() -> int:
    """Return the bytes of memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one side in this process; write its zeros, one bit a weight, to `arguments.zeros`."""
    seconds, side = [], SIDES[arguments.side]
    side(build(6_000, seed=0), arguments.sparsity)  # loads what is loaded at first use
    model = build(arguments.numel, seed=arguments.seed)
    before = resident()
    for run in range(arguments.runs):
        if run:
            del model
            model = build(arguments.numel, seed=arguments.seed)
        start = time.perf_counter()
        side(model, arguments.sparsity)
        seconds.append(time.perf_counter() - start)
        if not run:  # later models are built in what the allocator holds of earlier ones
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    bits = [np.packbits((layer.weight.detach() == 0).flatten().numpy()) for layer in model]
    arguments.zeros.write_bytes(np.concatenate(bits).tobytes())
    return {"seconds": seconds, "extra_bytes": peak - before}


def in_own_process(side: str, runs: int, arguments: argparse.Namespace, zeros: Path) -> Any:
    command = [sys.executable, __file__, "--side", side, "--runs", str(runs)]
    for name in ("numel", "sparsity", "seed", "threads"):
        command += [f"--{name}", str(getattr(arguments, name))]
    run = subprocess.run([*command, "--zeros", zeros], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def compare_zeros(arguments: argparse.Namespace, zeros: dict[str, Path]) -> dict[str, int]:
    """Count the zeros of both sides; raise where they differ by more than ties."""
    model = build(arguments.numel, seed=arguments.seed)
    bits = {side: np.fromfile(path, dtype=np.uint8) for side, path in zeros.items()}
    counts = {side: int(np.bitwise_count(b).sum()) for side, b in bits.items()}
    at, tied = 0, []
    for layer in model:
        magnitude = layer.weight.detach().abs().flatten().numpy()
        end = at + -(-magnitude.size // 8)
        differs = np.unpackbits(bits["prunus"][at:end] ^ bits["torch"][at:end])
        tied.append(magnitude[differs[: magnitude.size].astype(bool)])
        at = end
    different = np.concatenate(tied)
    if len(set(counts.values())) > 1 or np.unique(different).size > 1:
        raise SystemExit(f"the zeros differ: {counts}, magnitudes {np.unique(different)[:5]}")
    return {"zeros": counts["prunus"], "swapped_ties": different.size}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run both sides and return what the table needs."""
    weights = LAYERS * isqrt(arguments.numel // LAYERS) ** 2
    sides, zeros = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for side, runs in {"prunus": max(3, arguments.runs), "torch": 1}.items():
            zeros[side] = Path(folder) / side
            measured = in_own_process(side, runs, arguments, zeros[side])
            measured["median_seconds"] = median(measured["seconds"])
            measured["extra_share"] = measured["extra_bytes"] / (4 * weights)
            sides[side] = measured
        same = compare_zeros(arguments, zeros)
    return {
        "claim": "global selection over weights: 30x faster than torch.nn.utils.prune, "
        "extra memory under 10 % of the model",
        "weights": weights,
        "layers": LAYERS,
        "sparsity": arguments.sparsity,
        **same,
        "sides": sides,
        "times_faster": sides["torch"]["median_seconds"] / sides["prunus"]["median_seconds"],
        "command": " ".join(["python", "benchmarks/selection.py", *sys.argv[1:]]),
        "seed": arguments.seed,
        "date": datetime.now(UTC).date().isoformat(),
        "cpus": os.cpu_count(),
        "threads": arguments.threads,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": sys.version.split()[0],
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--numel", type=int, default=100_000_000, help="weights in the model")
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--runs", type=int, default=5, help="timed runs of prunus; torch has one")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULT, help="where the figures go")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--zeros", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    if arguments.side:
        print(json.dumps(measure(arguments)))
        return
    result = run(arguments)
    for side, measured in result["sides"].items():
        extra, share = measured["extra_bytes"] / 1e6, measured["extra_share"]
        print(f"{side:8}{measured['median_seconds']:7.2f} s {extra:8.1f} MB extra ({share:.3f})")
    print(f"{result['times_faster']:.1f} times faster, {result['swapped_ties']} ties swapped")
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
