"""`prunus compare MODEL`: what each pruning strategy costs and buys, measured."""

from pathlib import Path
from typing import Annotated

import typer

from prunus.cli.options import (
    Data,
    Dense,
    Exclude,
    Granularity,
    Include,
    Input,
    Json,
    LearningRate,
    Margin,
    Model,
    Optimizer,
    Quiet,
    Weights,
    sizes,
)
from prunus.cli.render import Screen

EXAMPLES = """
prunus compare models.py:build --data data.py:loaders --dense-epochs 90
prunus compare net:resnet --data digits --weights dense.safetensors \\
  --dense-epochs 20 --recover 5 --folder runs/digits
prunus compare models.py:build --data data.py:loaders --dense-epochs 90 \\
  --strategies magnitude,taylor --budget macs=0.5 --budget macs=0.3
"""


def compare(  # noqa: PLR0913 - what can be typed
    model: Model,
    *,
    data: Data,
    dense_epochs: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="EPOCHS",
            help="How long the dense model was trained: the control from scratch gets as many. "
            "Where the file of --weights is not there yet, it is trained that long and written.",
        ),
    ],
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Where results, report and models go.")
    ] = Path("runs/study"),
    strategies: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="With commas: magnitude, gradient, taylor, l1, l2, group-lasso, which run unless "
            "given; other criteria and solvers; elastic-net, greg-1, greg-2, group-sparse, "
            "hard-concrete, slimming; agp, budgeted, lottery, rate-rewinding, rigl, set, which "
            "prune while they train. random and scratch are always there.",
        ),
    ] = None,
    granularity: Granularity = "channel",
    budget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIGURE=AMOUNT",
            help="What to keep, such as macs=0.5. Each is run; 0.5, 0.25 and 0.1 unless given.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, metavar="COUNT", help="How often each is run.")] = 3,
    recover: Annotated[
        int, typer.Option(min=1, metavar="EPOCHS", help="Training that every run gets.")
    ] = 10,
    optimizer: Optimizer = "sgd",
    lr: LearningRate = 0.1,
    margin: Margin = 0.01,
    include: Include = None,
    exclude: Exclude = None,
    input: Input = None,
    weights: Weights = None,
    dense: Dense = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare pruning strategies on a trained model and its data.

    Every run is written down when it ends. Typed again, a study goes on where it stopped.
    """
    from prunus import study
    from prunus.allocate import check_meaning
    from prunus.cli import steps, tables
    from prunus.cli.budget import budget_of, usual
    from prunus.cli.datasets import open_data
    from prunus.cli.training import cross_entropy, open_trained
    from prunus.study.report import write_report
    from prunus.train import Recipe

    screen, shape = Screen(json=json, quiet=quiet), sizes(input)
    steps.check_report()
    budgets = [budget_of([text]) for text in budget or usual(granularity)]
    for each in budgets:  # before a dense model is trained
        check_meaning(each, granularity)
    recipe = Recipe(epochs=recover, optimizer=optimizer, lr=lr)
    found = open_data(data, shape=shape)
    source = open_trained(
        screen, model, recipe=recipe, epochs=dense_epochs, weights=weights, data=found,
        dense=dense, shape=shape,
    )  # fmt: skip
    with screen.counted() as progress:
        result = study.compare(
            source.model,
            source.inputs,
            train=found.training,
            test=found.test,
            loss=cross_entropy,
            budgets={granularity: budgets},
            folder=folder,
            recipe=recipe,
            dense_epochs=dense_epochs,
            margin=margin,
            strategies=strategies.split(",") if strategies else None,
            seeds=range(seeds),
            include=include,
            exclude=exclude or (),
            title=f"{model} on {data}",
            progress=progress,
        )
    report, _ = write_report(result, folder)
    screen.show(*tables.accuracies(result), *tables.advice(result), "")
    screen.place(f"report: {report}")
    screen.result(tables.study_record(result, folder=str(folder), report=str(report)))
