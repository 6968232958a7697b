"""A solver run over a model, one layer at a time.

Legend for tensor names: G groups of a convolution, O outputs of a group, I inputs of one output
(kernel positions, and channels within each), N places where a layer was read.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from prunus.errors import DataError
from prunus.inputs import Inputs
from prunus.modes import mode
from prunus.records import Kept
from prunus.solvers.base import Goal, Solver
from prunus.solvers.matrices import LAYERS, Layer, as_matrices, as_weight, geometry, read_by
from prunus.solvers.reading import read, stages


def solvable(model: nn.Module, inputs: Inputs) -> dict[str, Layer]:
    """Return the layers whose weights a solver may choose, by the name of the weight.

    These are linear layers and convolutions that run when `model` is called with `inputs`, and
    whose weights no other module has.

    Example:
        >>> list(solvable(nn.Sequential(nn.Linear(4, 8), nn.GRU(8, 2)), torch.randn(3, 4)))
        ['0.weight']
    """
    uses = Counter(
        id(parameter)
        for module in model.modules()
        for parameter in module.parameters(recurse=False)
    )
    layers: dict[str, Layer] = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, LAYERS) and uses[id(module._parameters.get("weight"))] == 1
    }
    run = {name for stage in stages(model, inputs, layers) for name in stage.names}
    return {_weight_of(name): layer for name, layer in layers.items() if name in run}


def solve(
    model: nn.Module,
    solver: Solver,
    goals: Mapping[str, Goal],
    *,
    inputs: Inputs,
    data: Iterable[Any],
) -> dict[str, Kept]:
    """Prune and solve layers of `model` in place, in the order in which they run.

    Each layer's Hessian is taken on the inputs that it gets from the layers already pruned, so
    that later layers make up for what earlier ones lost.

    Args:
        model: Of which `solvable` returned the layers.
        solver: Such as `SparseGPT()`.
        goals: What is to be left of each weight, by its name.
        inputs: Example inputs, from which the order of the layers is learnt.
        data: Batches (inputs, targets), or inputs alone; targets are not used.

    Returns:
        Which weights stay.

    Raises:
        DataError: The data yield no batch, on the first pass or again, or a layer reads nothing
            or numbers that are not finite. Layers solved so far stay pruned.

    Cost: Besides what the solver takes, one pass over `data` per set of layers that read the same
        tensor, each ended where these layers are; memory for one Hessian, and for what a layer
        reads of one batch, of a convolution once per kernel position.
    """
    layers: dict[str, Any] = {name: model.get_submodule(_layer_of(name)) for name in goals}
    kept = {}
    with mode(model, training=False), torch.no_grad():
        for stage in stages(model, inputs, {_layer_of(n): layer for n, layer in layers.items()}):
            of_stage = {name: layers[_weight_of(name)] for name in stage.names}
            hessians = _hessians(model, of_stage, data, once=stage.once)
            for name, layer in of_stage.items():
                weight = _weight_of(name)
                kept[weight] = _solved(solver, layer, hessians[geometry(layer)], goals[weight])
    return kept


def _solved(solver: Solver, layer: Layer, hessian_GII: Tensor, goal: Goal) -> Kept:
    """Solve one layer in place, and return which of its weights stay."""
    weight_GOI = as_matrices(layer)
    groups = len(weight_GOI)
    ends = [goal.kept * group // groups for group in range(groups + 1)]
    solutions = [
        solver(weight_OI, hessian_II, Goal(end - start, goal.slots))
        for weight_OI, hessian_II, start, end in zip(
            weight_GOI, hessian_GII, ends[:-1], ends[1:], strict=True
        )
    ]
    layer.weight.copy_(as_weight(layer, torch.stack([s.weight_OI for s in solutions])))
    mask = as_weight(layer, torch.stack([s.mask_OI for s in solutions]))
    return Kept.of(mask.flatten())


def _hessians(
    model: nn.Module, layers: Mapping[str, Layer], data: Iterable[Any], *, once: bool
) -> dict[tuple[object, ...], Tensor]:
    """Return the mean of x x^T over all that layers read, (G, I, I), by the layer's geometry."""
    readers: dict[tuple[object, ...], str] = {}
    for name, layer in layers.items():
        readers.setdefault(geometry(layer), name)
    sums: dict[str, Tensor] = {}
    places: Counter[str] = Counter()

    def add(name: str, given: Tensor) -> None:
        if name not in readers.values():
            return
        weight = layers[name].weight
        read_GNI = read_by(layers[name], given.to(_wide(weight)))
        product_GII = read_GNI.mT @ read_GNI
        sums[name] = sums[name].add_(product_GII) if name in sums else product_GII
        places[name] += read_GNI.shape[1]

    read(model, layers, data, add, once=once)
    for name in readers.values():
        if not places[name]:
            raise DataError(
                f"'{name}' reads nothing on the data",
                why="it runs on the example inputs and on no batch",
                hint=f"exclude=['{name}'], or data that reach it",
            )
        if not bool(sums[name].isfinite().all()):
            raise DataError(
                f"'{name}' reads numbers that are not finite",
                why="the model overflows on the data, before or after earlier layers were pruned",
                hint=f"exclude=['{name}'], or a model in float32",
            )
    return {key: sums[name] / places[name] for key, name in readers.items()}


def _wide(weight: Tensor) -> torch.dtype:
    return torch.promote_types(weight.dtype, torch.float32)


def _weight_of(layer: str) -> str:
    return f"{layer}.weight" if layer else "weight"


def _layer_of(weight: str) -> str:
    return weight.rpartition(".")[0]
