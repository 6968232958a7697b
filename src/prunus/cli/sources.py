"""MODEL: where the command line gets a dense model, with inputs that it takes."""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prunus.agreement import outputs_of
from prunus.cli import libraries, user_file
from prunus.cli.asked import Asked, Built, Shape
from prunus.cli.datasets import Data
from prunus.cli.errors import place_of
from prunus.cli.state import load_weights
from prunus.errors import PruneError, unknown_name
from prunus.inputs import Inputs, call_text, device_of, to_device
from prunus.networks import lenet, mlp, resnet

RECORDED = frozenset({"net", "torchvision", "timm"})
"""Sources that a saved folder may name by itself, as they run no code of anyone's choosing."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A model, and where it came from.

    Attributes:
        text: As typed.
        model: The module.
        inputs: Example inputs, on its device.
        weights: The file that its weights were read from, if any.
    """

    text: str
    model: nn.Module
    inputs: Inputs
    weights: Path | None = None

    @property
    def record(self) -> Mapping[str, Any]:
        """What a saved folder keeps of it, to be built again."""
        image = isinstance(self.inputs, Tensor) and self.inputs.is_floating_point()
        return {
            "model": self.text,
            "input": list(self.inputs.shape) if image else None,
            "weights": None if self.weights is None else str(self.weights),
        }


def open_model(
    text: str,
    *,
    weights: Path | None = None,
    shape: Shape | None = None,
    data: Data | None = None,
    trained: bool = True,
) -> Source:
    """Build the model that was asked for.

    It is built from the same random numbers every time, so that a network whose weights are drawn
    has the same ones in every command.

    Args:
        text: As typed; no saved folder, for these see `prunus.cli.saved`.
        weights: A state dict to load.
        shape: Of the example inputs.
        data: An item of these is the example where neither `shape` nor the user's function says.
        trained: Whether a library shall fetch its trained weights, where `weights` is None.

    Raises:
        PruneError: There is no such model, or no example inputs for it.
        SaveError: The weights cannot be read, or are those of another architecture.
    """
    kind, _, name = text.partition(":")
    if user_file.is_function(text):
        kind, name = "file.py", text
    if kind not in _KINDS:
        known = ["file.py:function", *_KINDS.keys() - {"file.py"}]
        raise unknown_name("folder, and no model source,", kind, known, PruneError)
    asked = Asked(
        name=name,
        shape=shape,
        example=data.example if data else None,
        classes=data.classes if data else None,
        trained=trained and weights is None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, inputs = _KINDS[kind](asked)
    if weights is not None:
        load_weights(model, weights)
    if inputs is None:
        raise PruneError(
            f"it is not known which inputs {text} takes",
            hint="--input 1x3x224x224, or let your function return (model, example_inputs)",
        )
    inputs = to_device(inputs, device_of(model))
    _check_runs(text, model, inputs)
    return Source(text=text, model=model, inputs=inputs, weights=weights)


def _check_runs(text: str, model: nn.Module, inputs: Inputs) -> None:
    """Raise a PruneError where the example inputs are none that the model takes.

    It is called as it is, before prunus does anything to it: what it raises here is its own.
    """
    try:
        outputs_of(model, [inputs])
    except Exception as error:  # of any kind: it comes from the user's code
        place = place_of(error)
        raise PruneError(
            f"{text} does not run on its example inputs: prunus called {call_text(inputs)}",
            why=f"{place}: " * bool(place)
            + traceback.format_exception_only(error)[0].partition("\n")[0],
            hint="give the shape that it takes: --input 1x3x224x224",
        ) from error


# -- the networks of prunus ---------------------------------------------------------------------


_NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "mlp": lambda shape, **sizes: mlp(in_features=prod(shape), **sizes),
    "lenet": lambda shape, **sizes: lenet(in_channels=shape[0], size=shape[-1], **sizes),
    "resnet": lambda shape, **sizes: resnet(in_channels=shape[0], **sizes),
}
_DIGITS = (1, 1, 8, 8)


def _network(asked: Asked) -> Built:
    """Build a reference network, "resnet" or "resnet:32" for one of that width.

    Its channels and size are those of the inputs, its classes those of the data.
    """
    name, _, width = asked.name.partition(":")
    if name not in _NETWORKS:
        raise unknown_name("reference network", name, _NETWORKS, PruneError)
    inputs = asked.inputs(_DIGITS)
    if not isinstance(inputs, Tensor) or inputs.dim() != 4:
        raise PruneError(
            f"net:{name} takes images",
            why="its inputs have four sizes: items, channels, height and width",
            hint="--input 1x3x32x32",
        )
    sizes = {"classes": asked.classes or 10}
    if width:
        if not width.isdecimal() or int(width) < 1 or name == "lenet":
            raise PruneError(
                f"net:{asked.name} cannot be built",
                why="the last number is the width of mlp or resnet",
                hint="net:resnet:32",
            )
        sizes["width"] = int(width)
    return _NETWORKS[name](tuple(inputs.shape[1:]), **sizes), inputs


# -- the user's own -----------------------------------------------------------------------------


def _function(asked: Asked) -> Built:
    match user_file.call_function(asked.name, "MODEL"):
        case nn.Module() as model:
            return model, asked.inputs()
        case (nn.Module() as model, example):
            return model, example if asked.shape is None else asked.inputs()
        case other:
            raise PruneError(
                f"MODEL {asked.name} returned no model, but an object of type "
                f"{type(other).__name__}",
                why="prunus takes a torch.nn.Module, or (model, example_inputs)",
                hint="return model, torch.randn(1, 3, 224, 224)",
            )


_KINDS: Mapping[str, Callable[[Asked], Built]] = {
    "file.py": _function,
    "net": _network,
    "torchvision": libraries.torchvision_network,
    "timm": libraries.timm_network,
    "hf": libraries.transformers_model,
}
