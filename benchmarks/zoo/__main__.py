"""Run the zoo: python -m benchmarks.zoo [NAME ...] [--library NAME] [--side prunus]

Rows are added to a file as they come, and what is in it is not run again unless it is named. At
the end all rows go to benchmarks/results/zoo.json, from which the page of the docs is made.
"""

import argparse
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import torch
from benchmarks.zoo.check import check
from benchmarks.zoo.isolated import isolated
from benchmarks.zoo.network import Network

RESULT = Path(__file__).parents[1] / "results" / "zoo.json"
LIBRARIES = {
    "own": "own", "torchvision": "of_torchvision", "timm": "of_timm",
    "transformers": "of_transformers", "ultralytics": "of_ultralytics",
}  # fmt: skip
PACKAGES = ("torch", "torchvision", "timm", "transformers", "ultralytics", "torch-pruning")

Row = dict[str, Any]


def sides() -> dict[str, Callable[[Network], Row]]:
    """Return what is compared: prunus, and Torch-Pruning where it is installed."""
    both = {"prunus": check}
    if version("torch-pruning"):
        both["torch-pruning"] = import_module("benchmarks.zoo.rival").check
    return both


def version(package: str) -> str | None:
    """Return the version that is installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def networks(library: str) -> Iterator[Network]:
    """Yield the networks of one library; none where it is not installed."""
    if library == "own" or version(library):
        yield from import_module(f"benchmarks.zoo.{LIBRARIES[library]}").networks()


def rows_of(file: Path) -> dict[tuple[str, str, str], Row]:
    """Return the rows in `file`, the last of each (side, library, name)."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    rows = [json.loads(line) for line in lines]
    return {(row["side"], row["library"], row["name"]): row for row in rows}


def run(arguments: argparse.Namespace) -> None:
    """Run what is asked for and not in the file yet."""
    done = rows_of(arguments.rows)
    both = sides()
    for library in arguments.library or LIBRARIES:
        for network in networks(library):
            if arguments.names and network.name not in arguments.names:
                continue
            for side in arguments.side or both:
                key = (side, library, network.name)
                if key in done and not arguments.names:
                    continue
                began = time.perf_counter()
                row = isolated(partial(both[side], network), seconds=arguments.seconds)
                row = {"side": side, "library": library, "name": network.name, **row}
                with arguments.rows.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                wall = time.perf_counter() - began
                print(
                    f"{side:14}{library:13}{network.name:40}{said(row)}, {wall:.0f} s", flush=True
                )


def said(row: Row) -> str:
    """Return a row in a few words."""
    text = row["verdict"]
    if "params_after" in row:
        text += f", {1 - row['params_after'] / row['params']:.0%} of the parameters fell"
    if "exact" in row:
        text += f", exact: {row['exact']}"
    return text + (f", {row.get('error', '')} {row['message'][:300]}" if "message" in row else "")


def gather(rows: Path) -> Row:
    """Return all rows with what they were made with."""
    return {
        "command": "python -m benchmarks.zoo",
        "date": datetime.now(UTC).date().isoformat(),
        "seed": 0,
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "versions": {package: version(package) for package in PACKAGES if version(package)},
        "rows": [rows_of(rows)[key] for key in sorted(rows_of(rows))],
    }


def main() -> None:
    """Run the zoo and write its results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description=__doc__)
    parser.add_argument("names", nargs="*", help="networks to run, again if need be")
    parser.add_argument("--library", action="append", choices=LIBRARIES)
    parser.add_argument("--side", action="append", choices=["prunus", "torch-pruning"])
    parser.add_argument("--rows", type=Path, default=Path("runs/zoo.jsonl"))
    parser.add_argument("--seconds", type=int, default=120, help="CPU time for one network")
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    arguments.rows.parent.mkdir(parents=True, exist_ok=True)
    run(arguments)
    text = json.dumps(gather(arguments.rows), indent=1) + "\n"
    arguments.output.write_text(text, encoding="utf-8")
    print(f"wrote {arguments.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
