"""`prunus bench DIR`: what a saved model costs beside the dense one, counted and measured."""

from dataclasses import replace
from typing import Annotated

import typer

from prunus.cli.options import Dense, Folder, Input, Json, Quiet, sizes
from prunus.cli.render import Screen

EXAMPLES = """
prunus bench small
prunus bench small --batch 32 --threads 1
prunus bench small --dense models.py:build --input 1x3x224x224 --json
"""


def bench(  # noqa: PLR0913 - what can be typed
    folder: Folder,
    *,
    batch: Annotated[
        int, typer.Option(min=1, metavar="ITEMS", help="Items of the batch that is timed.")
    ] = 1,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="COUNT", help="CPU threads of PyTorch; as many as it takes by itself."
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="To spend on each model.")
    ] = 2.0,
    dense: Dense = None,
    input: Input = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a saved model beside the dense one.

    Counted: parameters, MACs, bytes, peak memory. Measured: the time of one pass. Both run in
    turns, so that what slows the machine slows both.
    """
    from prunus.cli import tables
    from prunus.cli.datasets import items_of
    from prunus.cli.saved import open_saved
    from prunus.cli.steps import costs_of
    from prunus.save.sealed import plain

    screen = Screen(json=json, quiet=quiet)
    saved = open_saved(folder, dense=dense, shape=sizes(input))
    before, after = costs_of(
        screen,
        (saved.dense.model, saved.model),
        items_of(saved.dense.inputs, batch),
        seconds=seconds,
        threads=threads,
    )
    plan, report = saved.manifest.plan, saved.manifest.report
    if report is not None:  # which numbers are zero is not known of an architecture
        before = replace(before, nonzero=report["before"]["nonzero"])
    screen.show(
        tables.costs(before, after, names=("dense", "saved"), smaller=not plan.zeroes),
        "",
        *tables.remarks(plan, after),
        "MACs are those of one item.",
    )
    screen.result({
        "folder": str(folder),
        "dense": plain(before),
        "saved": plain(after),
        "source": saved.dense.record,
    })
