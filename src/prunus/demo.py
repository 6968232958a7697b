"""The demo: train a real network, compare the strategies on it, take the best smaller one home.

runs/demo/
  dense/           the network that all strategies start from
  results.jsonl    one line per run
  report.html      figures; report.md the same as text
  best/            the best channel-pruned network
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from prunus.allocate import Budget
from prunus.data import Batches, Dataset, digits, fashion_mnist
from prunus.errors import DataError, VerifyError, unknown_name
from prunus.modes import mode
from prunus.networks import resnet
from prunus.records import Plan
from prunus.save import read, read_manifest, write
from prunus.save.files import MANIFEST
from prunus.study import Run, Strategy, Study, best, compare
from prunus.study.compare import Progress
from prunus.study.reading import seeded
from prunus.study.report import write_report
from prunus.train import Recipe, fit
from prunus.verify import Comparison, verify

DENSE, BEST = "dense", "best"


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A network, its data, and how it is compared.

    Attributes:
        title: Of the report.
        dataset: Its name: "digits" or "fashion-mnist".
        limit: Train on so many images; on all where None.
        width: Channels of the first stage of the small ResNet.
        batch_size: Items of a batch to train on.
        shift: Pixels by which training images are moved at random.
        recipe: Of recovery.
        dense_epochs: Epochs of the dense network, by the same recipe otherwise.
        budgets: Per granularity.
        strategies: Names or strategies; all that a study runs by itself where None.
        seeds: Of the study.
        margin: The drop of accuracy that would matter.
        calibration: Batches that criteria and batch norms read; all where None.
        threads: CPU threads of PyTorch. Small networks run best on one.
    """

    title: str
    dataset: str
    limit: int | None = None
    width: int
    batch_size: int
    shift: int
    recipe: Recipe
    dense_epochs: int
    budgets: Mapping[str, Sequence[Budget]]
    strategies: Sequence[str | Strategy] | None = None
    seeds: Sequence[int] = (0, 1, 2)
    margin: float
    calibration: int | None = None
    threads: int = 1

    def data(self) -> Dataset:
        """Return the images.

        Raises:
            DataError: They are not there.
        """
        return fashion_mnist(limit=self.limit) if self.dataset == "fashion-mnist" else digits()

    def network(self) -> nn.Module:
        """Return a new dense network."""
        return resnet(width=self.width)


_FRACTIONS = (0.5, 0.25, 0.1)
SETUPS: Mapping[str, Setup] = {
    "digits": Setup(
        title="small ResNet on digits",
        dataset="digits",
        width=16,
        batch_size=64,
        shift=0,
        recipe=Recipe(epochs=3, optimizer="adamw", lr=0.01, weight_decay=0.01),
        dense_epochs=9,
        budgets={
            "channel": [Budget(macs=fraction) for fraction in _FRACTIONS],
            "weight": [Budget(params=fraction) for fraction in _FRACTIONS],
        },
        margin=0.02,
    ),
    "fashion-mnist": Setup(
        title="small ResNet on Fashion-MNIST",
        dataset="fashion-mnist",
        limit=4000,
        width=32,
        batch_size=64,
        shift=0,
        recipe=Recipe(epochs=3, optimizer="adamw", lr=0.01, weight_decay=0.01),
        dense_epochs=8,
        budgets={
            "channel": [Budget(macs=0.5, multiple_of=8)],
            "weight": [Budget(params=0.25)],
        },
        margin=0.01,
        calibration=16,
        threads=2,
    ),
}


def setup_of(name: str) -> Setup:
    """Return the set-up for a data set.

    Raises:
        DataError: There is none of that name.

    Example:
        >>> setup_of("digits").title
        'small ResNet on digits'
    """
    if name not in SETUPS:
        raise unknown_name("demo", name, SETUPS, DataError)
    return SETUPS[name]


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo found.

    Attributes:
        folder: Where everything lies.
        study: All runs.
        run: The one whose network was taken home, to `best/`.
        comparison: Dense against that network, loaded from its files.
        seconds: Wall time.
    """

    folder: Path
    study: Study
    run: Run
    comparison: Comparison
    seconds: float


def demo(
    folder: str | Path, *, setup: str | Setup = "digits", progress: Progress | None = None
) -> DemoResult:
    """Train, compare, choose, save, and prove that the saved network is the one measured.

    A demo that was killed goes on where it stopped.

    Args:
        folder: Where to put all of it.
        setup: A name in `SETUPS`, or a set-up; `dataclasses.replace(setup_of("digits"), ...)`.
        progress: Called with (runs done, runs in all, what comes next); 0 runs in all while the
            dense network is trained.

    Raises:
        DataError: The data are not there.
        StudyError: See `prunus.compare`.
        VerifyError: A network that was loaded is not the one that was saved.
    """
    began = time.perf_counter()
    setup = setup_of(setup) if isinstance(setup, str) else setup
    folder, data = Path(folder), setup.data()
    with _threads(setup.threads):
        test = _test(data)
        if progress is not None:
            progress(0, 0, "train the dense network")
        dense = _dense(setup, data, folder / DENSE)
        study = compare(
            dense,
            data.test.inputs[:1],
            train=_train(setup, data),
            test=test,
            loss=nn.CrossEntropyLoss(),
            budgets=setup.budgets,
            folder=folder,
            recipe=setup.recipe,
            dense_epochs=setup.dense_epochs,
            margin=setup.margin,
            strategies=setup.strategies,
            seeds=setup.seeds,
            batches=setup.calibration,
            title=setup.title,
            progress=progress,
        )
        run, comparison = _take_home(setup, dense, data, study, folder)
        write_report(study, folder)
    return DemoResult(
        folder=folder,
        study=study,
        run=run,
        comparison=comparison,
        seconds=time.perf_counter() - began,
    )


def _train(setup: Setup, data: Dataset) -> Batches:
    return Batches(data.train, batch_size=setup.batch_size, shuffle=True, shift=setup.shift)


def _test(data: Dataset) -> Batches:
    return Batches(data.test, batch_size=500)


def _dense(setup: Setup, data: Dataset, folder: Path) -> nn.Module:
    """Return the trained dense network: that in `folder`, or a new one that is saved there."""
    with seeded(0):
        network = setup.network()
    if (folder / MANIFEST).exists():
        return read(folder, model=network)
    recipe = replace(setup.recipe, epochs=setup.dense_epochs)
    fit(network, _train(setup, data), loss=nn.CrossEntropyLoss(), recipe=recipe)
    extra = {"source": _source(f"net:resnet:{setup.width}", data)}
    write(folder, model=network, plan=Plan("channel", {}, {}), extra=extra)
    return network


def _source(model: str, data: Dataset) -> dict[str, object]:
    """Return what the command line reads to build the dense network of a saved one again."""
    return {"model": model, "input": list(data.test.inputs[:1].shape), "weights": None}


def _take_home(
    setup: Setup, dense: nn.Module, data: Dataset, study: Study, folder: Path
) -> tuple[Run, Comparison]:
    """Copy the best network to `best/`, and check that what is there is what was measured."""
    run, test = best(study), _test(data)
    source = folder / str(run.folder)
    network = read(source, model=setup.network())
    comparison = verify(dense, network, test, margin=setup.margin)
    extra = {"run": asdict(run), "source": _source(str(folder / DENSE), data)}
    write(folder / BEST, model=network, plan=read_manifest(source).plan, extra=extra)
    expected = predictions(network, test)
    if comparison.after != run.accuracy or _predicted_afresh(setup, folder / BEST) != expected:
        raise VerifyError(
            f"the network in '{folder / BEST}' does not predict what was measured",
            why="its files were altered, or this machine does not compute the same every time",
            hint="run the demo again in another folder",
        )
    return run, comparison


def predictions(network: nn.Module, test: Batches) -> list[int]:
    """Return the class that `network` gives to each test image."""
    with mode(network, training=False), torch.no_grad():
        return [label for images, _ in test for label in network(images).argmax(1).tolist()]


def _predicted_afresh(setup: Setup, folder: Path) -> list[int]:
    """Let a new process load the network and predict."""
    code = "from prunus.demo import print_predictions; print_predictions()"
    settings = [str(folder), setup.dataset, str(setup.width), str(setup.threads)]
    done = subprocess.run(
        [sys.executable, "-c", code, *settings], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise VerifyError(
            f"a new process could not load the network in '{folder}'", why=done.stderr.strip()
        )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def print_predictions() -> None:
    """Print what the network of `sys.argv` predicts: its folder, data set, width, threads."""
    folder, dataset, width, threads = sys.argv[1:]
    setup = replace(setup_of(dataset), width=int(width))
    with _threads(int(threads)):
        network = read(folder, model=setup.network())
        print(json.dumps(predictions(network, _test(setup.data()))))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let PyTorch use `count` CPU threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
