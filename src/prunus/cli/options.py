"""Arguments and options that commands share."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Model: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="file.py:function, net:resnet, torchvision:NAME, timm:NAME, hf:PATH, or a saved "
        "folder.",
    ),
]
Folder: TypeAlias = Annotated[
    Path, typer.Argument(metavar="DIR", help="What `prunus prune --out DIR` wrote.")
]
DATA = "digits, fashion-mnist, images:FOLDER, or file.py:function"
Data: TypeAlias = Annotated[str, typer.Option(metavar="DATA", help=f"{DATA}.")]
Weights: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Weights of the dense model: .safetensors or .pt."),
]
Input: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="SIZES", help="Shape of the example inputs, such as 1x3x224x224."),
]
Dense: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL", help="What a saved folder was cut from, where it does not know that."
    ),
]
Granularity: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="channel: units are removed; head, head_dim, width, expert, layer: of one kind. "
        "activation, activation_channel: functions, or channels of them, become lines. "
        "weight: weights are set to zero; 4x1: in blocks of outputs x inputs; 2:4: all but 2 of 4 "
        "inputs in a row.",
    ),
]
Include: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Cut only what these layers produce. Again for more."),
]
Exclude: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Keep whole what these layers produce. Again for more."),
]
DenseEpochs: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="EPOCHS",
        help="Epochs of the dense model. Where the file of --weights is not there yet, it is "
        "trained that long and written.",
    ),
]
Optimizer: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME", help="Of training: sgd or adamw.")
]
LearningRate: TypeAlias = Annotated[
    float, typer.Option("--lr", metavar="RATE", help="Largest learning rate of training.")
]
Margin: TypeAlias = Annotated[
    float,
    typer.Option(metavar="DROP", help="The drop of accuracy that would matter: 0.01 is one point."),
]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print one JSON object and nothing else.")
]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def sizes(text: str | None) -> tuple[int, ...] | None:
    """Return the sizes in "1x3x224x224".

    Raises:
        typer.BadParameter: It is something else.

    Example:
        >>> sizes("1x3x224x224"), sizes(None)
        ((1, 3, 224, 224), None)
    """
    if text is None:
        return None
    parts = text.lower().split("x")
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise typer.BadParameter(
            f"'{text}' is no shape; give sizes with an x between: 1x3x224x224",
            param_hint="--input",
        )
    return tuple(int(part) for part in parts)
