"""A solver run over a model, one layer at a time.

Legend for tensor names: G groups of a convolution, O outputs of a group, I inputs of one output
(kernel positions, and channels within each), N places where a layer was read.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from prunus.data import checked
from prunus.errors import DataError, PlanError
from prunus.inputs import call, device_of
from prunus.modes import mode
from prunus.records import Kept, Plan
from prunus.solvers.base import Solver
from prunus.versions import versions

_Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
_Layer = nn.Linear | _Convolution


def solve_layers(
    model: nn.Module,
    solver: Solver,
    *,
    data: Iterable[Any],
    exclude: Sequence[str] = (),
    in_place: bool = False,
    dtype: torch.dtype = torch.float32,
) -> tuple[nn.Module, Plan]:
    """Prune linear layers and convolutions in the order in which they run.

    Each layer's Hessian is taken on the inputs that it gets from the layers already pruned, so
    that later layers make up for what earlier ones lost.

    Args:
        model: Run in evaluation mode; untouched unless `in_place`.
        solver: Such as `SparseGPT(sparsity=0.5)`.
        data: Batches (inputs, targets), or inputs alone, iterated once per layer; targets are
            not used.
        exclude: Patterns of layer names, such as "head" or "blocks.0.*", that stay dense.
        in_place: Change `model` itself, which saves one copy of it; after an error the layers
            solved so far stay pruned.
        dtype: In which Hessians are summed and inverted; float32 or float64.

    Returns:
        The pruned model, and its plan: `Masked(model, plan).hold(optimizer)` keeps the zeros in
        training. `plan.provenance["dense"]` says which layers stay dense, and why.

    Raises:
        DataError: The data yield no batch, on the first pass or again, or a layer reads numbers
            that are not finite.
        PlanError: No layer can be pruned, or a pattern of `exclude` matches none.

    Cost: one pass over `data` per layer, besides what the solver takes; extra memory for one
        layer's Hessian and for its inputs of one batch, of a convolution once per kernel
        position.

    Example:
        >>> from prunus.solvers import SparseGPT
        >>> model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> data = [(torch.randn(64, 8), None)]
        >>> pruned, plan = solve_layers(model, SparseGPT(pattern="2:4"), data=data)
        >>> plan.counts, int((pruned[0].weight != 0).sum())
        ({'0.weight': 32, '2.weight': 8}, 32)
    """
    layers, dense = _choose(model, solver, exclude)
    result = model if in_place else copy.deepcopy(model)
    kept = {}
    with mode(result, training=False), torch.no_grad():
        for name in _in_order(result, layers, data):
            layer: Any = result.get_submodule(name)
            hessian_GII = _hessian(result, layer, data, name, dtype)
            weight_GOI = _as_matrices(layer)
            solutions = [
                solver.solve(weight_OI, hessian_II)
                for weight_OI, hessian_II in zip(weight_GOI, hessian_GII, strict=True)
            ]
            layer.weight.copy_(_as_weight(layer, torch.stack([s.weight_OI for s in solutions])))
            mask = _as_weight(layer, torch.stack([s.mask_OI for s in solutions]))
            kept[f"{name}.weight" if name else "weight"] = Kept.of(mask.flatten())
            layers.remove(name)
    dense |= dict.fromkeys(layers, "its forward was not called")
    provenance = {**versions(), "solver": repr(solver), "dense": dense}
    return result, Plan("weight", kept, {}, (), provenance)


def _choose(
    model: nn.Module, solver: Solver, exclude: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """Return the names of the layers to prune, and of the others with the reason."""
    found = {name: m for name, m in model.named_modules() if isinstance(m, _Layer)}
    unmatched = [p for p in exclude if not any(fnmatchcase(name, p) for name in found)]
    if unmatched:
        raise PlanError(
            f"no layer matches '{unmatched[0]}'", why=f"there are: {', '.join(found)}",
            hint=f"exclude=['{next(iter(found), '')}']",
        )  # fmt: skip
    uses = Counter(
        id(parameter)
        for module in model.modules()
        for parameter in module.parameters(recurse=False)
    )
    dense = {}
    for name, layer in found.items():
        if any(fnmatchcase(name, pattern) for pattern in exclude):
            dense[name] = "excluded"
        elif uses[id(layer.weight)] > 1:
            dense[name] = "its weight is shared with another module"
        elif (reason := solver.refuses(layer.weight.shape[1])) is not None:
            dense[name] = reason
    layers = [name for name in found if name not in dense]
    if not layers:
        raise PlanError(
            "no layer can be pruned",
            why="; ".join(f"{name}: {reason}" for name, reason in dense.items()),
            hint="a model with linear layers or convolutions, and fewer patterns in exclude=",
        )
    return layers, dense


def _in_order(model: nn.Module, layers: Sequence[str], data: Iterable[Any]) -> list[str]:
    """Return `layers` in the order of their first call; without those never called."""
    called: dict[str, None] = {}

    def note(name: str) -> Callable[..., None]:
        return lambda *_: called.setdefault(name)

    handles = [model.get_submodule(n).register_forward_pre_hook(note(n)) for n in layers]
    try:
        inputs, _ = next(checked(data, device=device_of(model)))
        call(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return list(called)


def _hessian(
    model: nn.Module, layer: _Layer, data: Iterable[Any], name: str, dtype: torch.dtype
) -> Tensor:
    """Return the mean of x x^T over all that `layer` reads, (G, I, I)."""
    weight_GOI = _as_matrices(layer)
    groups, _, size = weight_GOI.shape
    sum_GII = torch.zeros(groups, size, size, dtype=dtype, device=weight_GOI.device)
    count = 0

    def add(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal count
        read_GNI = _reads(layer, inputs[0].detach().to(dtype))
        sum_GII.baddbmm_(read_GNI.mT, read_GNI)
        count += read_GNI.shape[1]

    handle = layer.register_forward_pre_hook(add)
    try:
        for inputs, _ in checked(data, device=device_of(model)):
            call(model, inputs)
    finally:
        handle.remove()
    if not bool(sum_GII.isfinite().all()):
        raise DataError(
            f"'{name}' reads numbers that are not finite",
            why="the model overflows on the data, before or after earlier layers were pruned",
            hint=f"exclude=['{name}'], or a model in float32",
        )
    return sum_GII / max(count, 1)


def _reads(layer: _Layer, inputs: Tensor) -> Tensor:
    """Return what each place of the output reads, (G, N, I)."""
    if isinstance(layer, nn.Linear):
        return inputs.reshape(1, -1, inputs.shape[-1])
    dims = len(layer.kernel_size)
    if inputs.dim() == dims + 1:
        inputs = inputs.unsqueeze(0)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    windows = functional.pad(inputs, layer._reversed_padding_repeated_twice, mode=mode)
    for dim in range(dims):
        step, gap = layer.stride[dim], layer.dilation[dim]
        reach = gap * (layer.kernel_size[dim] - 1) + 1
        windows = windows.unfold(2 + dim, reach, step)[..., ::gap]
    # (B, C, places, kernel) -> (G, B, places, kernel, C / G)
    grouped = torch.unflatten(windows, 1, (layer.groups, -1)).movedim(2, -1).movedim(1, 0)
    size: int = layer.weight[0].numel()
    return grouped.reshape(layer.groups, -1, size)


def _as_matrices(layer: _Layer) -> Tensor:
    """Return the weight as (G, O, I)."""
    groups = 1 if isinstance(layer, nn.Linear) else layer.groups
    return layer.weight.detach().movedim(1, -1).reshape(groups, -1, layer.weight[0].numel())


def _as_weight(layer: _Layer, values_GOI: Tensor) -> Tensor:
    """Return (G, O, I) in the shape of the layer's weight."""
    shape = layer.weight.shape
    return values_GOI.reshape(shape[0], *shape[2:], shape[1]).movedim(-1, 1)
