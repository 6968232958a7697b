"""`prunus prune MODEL`: a smaller model, with the proof."""

from pathlib import Path
from typing import Annotated

import typer

from prunus.cli.options import (
    DATA,
    Dense,
    DenseEpochs,
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
prunus prune net:resnet --budget macs=0.5 --out small
prunus prune torchvision:resnet18 --budget macs=0.5 --multiple-of 8
prunus prune torchvision:resnet18 --budget latency=0.6 \\
  --allocation knapsack --latency-table latency.json
prunus prune models.py:build --data data.py:loaders --budget params=0.3 \\
  --criterion taylor --recover 10 --out small
prunus prune net:resnet --data digits --weights dense.safetensors \\
  --budget macs=0.5 --recover least_squares,batch_norm,fine_tune=3
prunus prune net:resnet --data digits --weights dense.safetensors \\
  --dense-epochs 20 --budget macs=0.5 --recover 5 --out small
"""


def prune(  # noqa: PLR0913 - what can be typed
    model: Model,
    *,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIGURE=AMOUNT",
            help="What to keep: macs=0.5, params=1.5M, bytes=12MB, latency=0.6 or latency=8ms, "
            "units=0.5 or sparsity=0.9. Again for more; all hold. Only a granularity such as 2:4 "
            "needs none.",
        ),
    ] = None,
    criterion: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What scores units: magnitude, lamp, fpgm, gradient, snip, taylor, fisher, random "
            "and more; or what solves single weights: sparsegpt. By granularity unless given.",
        ),
    ] = None,
    granularity: Granularity = "channel",
    allocation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How the budget is shared out: global, uniform, unif_plus, erk, lamp, isomorphic, "
            "sensitivity or knapsack; by granularity and criterion unless given.",
        ),
    ] = None,
    include: Include = None,
    exclude: Exclude = None,
    min_units: Annotated[
        int, typer.Option(min=1, metavar="UNITS", help="No group falls below so many.")
    ] = 1,
    multiple_of: Annotated[
        int, typer.Option(min=1, metavar="UNITS", help="Groups keep multiples of this.")
    ] = 1,
    latency_table: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="How long the layers take, for --budget latency=0.6. Where the file is not there "
            "yet, it is measured and written.",
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(metavar="DATA", help=f"{DATA}.")] = None,
    recover: Annotated[
        str | None,
        typer.Option(
            metavar="EPOCHS|STEPS",
            help="Train so many epochs after the cut, or do these steps, with commas: batch_norm, "
            "bias, fold_twins, least_squares, fine_tune, logit_distillation, feature_distillation; "
            "those that train take epochs, as fine_tune=5.",
        ),
    ] = None,
    batch_norm: Annotated[
        bool, typer.Option(help="Measure batch-norm statistics again after the cut, with --data.")
    ] = True,
    optimizer: Optimizer = "sgd",
    lr: LearningRate = 0.1,
    margin: Margin = 0.01,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to save it.")] = None,
    input: Input = None,
    weights: Weights = None,
    dense_epochs: DenseEpochs = None,
    dense: Dense = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a model smaller: cut, check, recover, measure, save."""
    from prunus import api
    from prunus.allocate import check_meaning
    from prunus.cli import steps, tables
    from prunus.cli.budget import budget_of
    from prunus.cli.datasets import open_data
    from prunus.cli.recovery import steps_named
    from prunus.cli.training import open_trained
    from prunus.save.sealed import plain
    from prunus.train import Recipe

    screen, shape = Screen(json=json, quiet=quiet), sizes(input)
    wanted = budget_of(budget, min_units=min_units, multiple_of=multiple_of) if budget else None
    if wanted is not None:
        check_meaning(wanted, granularity)  # before a dense model is trained
    recipe = Recipe(optimizer=optimizer, lr=lr)
    chosen = steps_named(recover, recipe=recipe, batch_norm=batch_norm)
    steps.check(model=model, data=data, recover=recover, margin=margin, out=out)
    if dense_epochs is not None and weights is None:
        raise typer.BadParameter(
            "it needs --weights FILE, to which the weights go", param_hint="--dense-epochs"
        )
    found = open_data(data, shape=shape) if data is not None else None
    source = open_trained(
        screen, model, recipe=recipe, epochs=dense_epochs, weights=weights, data=found,
        dense=dense, shape=shape,
    )  # fmt: skip
    pruned = steps.prune(
        screen, source, found, budget=wanted, criterion=criterion, granularity=granularity,
        allocation=allocation, include=include, exclude=exclude or (),
        latency_table=steps.table_in(screen, source, latency_table),
    )  # fmt: skip
    comparison = None
    if found is not None:
        if found.train is not None or recover is not None:
            steps.recover(screen, pruned, found, chosen, recipe=recipe)
        comparison = steps.compared(screen, source.model, pruned.model, found, margin=margin)
    pruned = steps.measured(screen, pruned, source.inputs)
    proof = {"source": source.record, "comparison": plain(comparison)}
    if out is not None:
        api.save(pruned, out, extra=proof)
    screen.show(*tables.pruned(pruned, comparison))
    screen.place(f"saved: {out}" if out else "not saved: that takes --out DIR")
    screen.result({**proof, "report": plain(pruned.report), "out": str(out) if out else None})
