"""`prunus inspect MODEL`: what could be pruned, and what could not and why."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from prunus.cli.options import (
    Dense,
    Exclude,
    Granularity,
    Include,
    Input,
    Json,
    Model,
    Quiet,
    sizes,
)
from prunus.cli.render import Screen

EXAMPLES = """
prunus inspect net:resnet
prunus inspect torchvision:resnet18 --exclude 'layer4.*'
prunus inspect net:resnet --tree
prunus inspect models.py:build --input 1x3x224x224 --html net.html
"""


def inspect(  # noqa: PLR0913 - what can be typed
    model: Model,
    *,
    granularity: Granularity = "channel",
    include: Include = None,
    exclude: Exclude = None,
    input: Input = None,
    dense: Dense = None,
    tree: Annotated[
        bool, typer.Option("--tree", help="Show the members, costs and reasons of every group.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the network, layer by layer, as a page."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what could be pruned, and what could not and why.

    One line per group of units that are kept or removed together; more with --tree, and a picture
    with --html.
    """
    from prunus.cli import tables
    from prunus.cli.saved import open_source
    from prunus.explanation import explain
    from prunus.files import atomic_write
    from prunus.picture import picture
    from prunus.text import amount

    screen = Screen(json=json, quiet=quiet)
    with screen.bar("tracing"):
        source = open_source(model, dense=dense, shape=sizes(input), trained=False)
        explanation = explain(
            source.model,
            source.inputs,
            granularity=granularity,
            include=include,
            exclude=exclude or (),
        )
    groups, cost = explanation.groups, explanation.costs
    free = [group for group in groups.values() if group.frozen_because is None]
    figures = {"parameters": cost.params({}), "macs": cost.macs({}), "bytes": cost.bytes({})}
    screen.show(
        f"{model}: {amount(figures['parameters'])} parameters, {amount(figures['macs'])} MACs, "
        f"{amount(figures['bytes'])} bytes",
        f"{len(free)} of {len(groups)} groups may lose units",
        "",
        tables.tree(explanation) if tree else tables.groups(groups),
    )
    if html is not None:
        atomic_write(html, picture(explanation, title=model))
        screen.place(f"The picture is at {html}")
    if explanation.unreached:
        screen.show("", f"Parameters that no operator read: {', '.join(explanation.unreached)}")
    screen.result({
        "model": model,
        **figures,
        "granularity": granularity,
        "groups": [
            {
                "name": group.name,
                "units": group.size,
                "layers": tables.layers_of(group),
                "unit_cost": asdict(explanation.unit_cost(group.name)),
                "frozen_because": group.frozen_because,
                "inexact_because": list(group.inexact_because),
            }
            for group in groups.values()
        ],
        "why": {name: list(reasons) for name, reasons in explanation.why().items()},
        "unreached": list(explanation.unreached),
    })
