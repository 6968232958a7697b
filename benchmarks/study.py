"""Compare all strategies on a data set that ships: python benchmarks/study.py digits

Keeps results.jsonl and report.md in benchmarks/DATASET/, and the figures of the README in
benchmarks/results/DATASET.json. A study that was killed goes on where it stopped. Digits takes
minutes, Fashion-MNIST hours on two cores.
"""

import argparse
import json
import shutil
from pathlib import Path

from study_results import HERE, progress, result_of

from prunus.demo import SETUPS, demo, setup_of

SHARED = ("results.jsonl", "report.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", nargs="?", default="digits", choices=sorted(SETUPS))
    parser.add_argument("--folder", type=Path, help="runs/DATASET unless given")
    arguments = parser.parse_args()
    name, setup = arguments.dataset, setup_of(arguments.dataset)
    folder = arguments.folder or Path("runs") / name
    found = demo(folder, setup=setup, progress=progress)
    kept = HERE / name
    kept.mkdir(exist_ok=True)
    for file in SHARED:
        shutil.copyfile(folder / file, kept / file)
    result = result_of(found, setup, command=f"python benchmarks/study.py {name}")
    path = HERE / "results" / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
