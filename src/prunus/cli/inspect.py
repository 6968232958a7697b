"""`prunus inspect MODEL`: what could be pruned, and what could not and why."""

from dataclasses import asdict

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
prunus inspect models.py:build --input 1x3x224x224 --json
"""


def inspect(  # noqa: PLR0913 - what can be typed
    model: Model,
    *,
    granularity: Granularity = "channel",
    include: Include = None,
    exclude: Exclude = None,
    input: Input = None,
    dense: Dense = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what could be pruned, and what could not and why.

    One line per group of units that are kept or removed together.
    """
    from prunus.cli import tables
    from prunus.cli.saved import open_source
    from prunus.explanation import explain
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
        tables.groups(groups),
    )
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
