"""`prunus demo`: everything, on a real network, in a few minutes."""

from pathlib import Path
from typing import Annotated

import typer

from prunus.cli.options import Json, Quiet
from prunus.cli.render import Screen

EXAMPLES = """
prunus demo
prunus demo --folder runs/clothes --dataset fashion-mnist
"""


def demo(
    *,
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Where results, report and models go.")
    ] = Path("runs/demo"),
    dataset: Annotated[
        str, typer.Option(metavar="NAME", help="digits, or fashion-mnist.")
    ] = "digits",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare all strategies on a real network, in minutes.

    A small ResNet is trained and pruned in every way, at three budgets, with three seeds; the
    best smaller one is taken home: saved, loaded in a fresh process, and it has to predict there
    what was measured. Typed again, a demo goes on where it stopped.
    """
    from prunus import demo as whole
    from prunus.cli import steps, tables
    from prunus.save.sealed import plain

    screen = Screen(json=json, quiet=quiet)
    steps.check_report()
    with screen.counted() as progress:
        result = whole.demo(folder, setup=dataset, progress=progress)
    run, report = result.run, folder / "report.html"
    screen.show(
        *tables.accuracies(result.study),
        *tables.advice(result.study),
        "",
        f"Taken home: {run.strategy} at {run.budget}, seed {run.seed}. Loaded in a fresh process "
        "it predicts the same.",
        str(result.comparison),
        "",
    )
    screen.place(f"model:  {folder / whole.BEST}")
    screen.place(f"report: {report}")
    screen.result(
        tables.study_record(
            result.study,
            folder=str(folder),
            report=str(report),
            best=str(folder / whole.BEST),
            taken_home=plain(run),
            comparison=plain(result.comparison),
            seconds=result.seconds,
        )
    )
