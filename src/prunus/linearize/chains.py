"""Which activation functions can be removed: those whose neighbours are known without guessing.

Modules inside an `nn.Sequential` run one after the other, so what stands in front of one is what
it reads. Elsewhere the order is in the user's `forward`, and the activation is frozen.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from torch import nn
from torch.nn.utils import parametrize

ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Hardswish, nn.Hardtanh, nn.Hardsigmoid, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Softsign,
)  # fmt: skip
# Spatial dims, by type.
CONVOLUTIONS: dict[type[nn.Module], int] = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
BATCH_NORMS: dict[type[nn.Module], int] = {nn.BatchNorm1d: 1, nn.BatchNorm2d: 2, nn.BatchNorm3d: 3}


@dataclass(frozen=True)
class Activations:
    """The activation modules of a model.

    Attributes:
        chains: Names of the modules that run one after the other, per outermost `nn.Sequential`.
        free: Name of an activation that can be removed -> name of the layer in front of it.
        frozen: Name of one that cannot -> why.
    """

    chains: tuple[tuple[str, ...], ...]
    free: Mapping[str, str]
    frozen: Mapping[str, str]


def activations(model: nn.Module) -> Activations:
    """Find every activation module of `model`; functional calls are not modules and stay.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Flatten(), nn.Tanh())
        >>> found = activations(model)
        >>> found.free, list(found.frozen)
        ({'1': '0'}, ['3'])
    """
    chains = tuple(_chains(model))
    before = {name: one for chain in chains for one, name in pairwise(chain)}
    own = own_modules(model)
    free, frozen = {}, {}
    for name, module in model.named_modules():
        if not isinstance(module, ACTIVATIONS):
            continue
        layer = before.get(name)
        reason = _reason(model, name, layer, own=own)
        if layer is None or reason is not None:
            frozen[name] = reason or _UNKNOWN
        else:
            free[name] = layer
    return Activations(chains, free, frozen)


_UNKNOWN = "what runs before it is not known: it is not behind another module in an nn.Sequential"


def _reason(model: nn.Module, name: str, layer: str | None, *, own: frozenset[str]) -> str | None:
    if name not in own:
        return "it is shared, parametrised or has hooks"
    if layer is None:
        return _UNKNOWN
    in_front = model.get_submodule(layer)
    kind = type(in_front)
    if kind is not nn.Linear and kind not in CONVOLUTIONS and kind not in BATCH_NORMS:
        return f"it reads {layer}, a {kind.__name__}, which cannot take up an affine map"
    if in_front._parameters["weight"] is None:
        return f"it reads {layer}, which has no weight that could take up an affine map"
    if layer not in own:
        return f"it reads {layer}, which is shared, tied, parametrised or has hooks"
    return None


def own_modules(model: nn.Module) -> frozenset[str]:
    """Return the names of the modules that nothing but their one place in the model depends on.

    Left out are those under several names, with a tied parameter, parametrised, or with hooks.
    """
    everywhere = list(model.named_modules(remove_duplicate=False))
    names = Counter(id(module) for _, module in everywhere)
    owners = Counter(
        id(p) for m in model.modules() for p in m._parameters.values() if p is not None
    )
    return frozenset(
        name
        for name, module in everywhere
        if names[id(module)] == 1
        and all(owners[id(p)] == 1 for p in module._parameters.values() if p is not None)
        and not hooked(module)
        and not parametrize.is_parametrized(module)
    )


def hooked(module: nn.Module) -> bool:
    """Return whether a forward or backward hook sits on `module`."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def _plain(module: nn.Module) -> bool:
    is_sequential = isinstance(module, nn.Sequential)
    return is_sequential and type(module).forward is nn.Sequential.forward and not hooked(module)


def _chains(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, ...]]:
    if _plain(model):
        links = tuple(_links(model, prefix))
        yield links
        inner = [(name, model.get_submodule(name[len(prefix) :])) for name in links]
    else:
        inner = [(f"{prefix}{name}", child) for name, child in model.named_children()]
    for name, module in inner:
        yield from _chains(module, f"{name}.")


def _links(sequential: nn.Module, prefix: str) -> Iterator[str]:
    for name, child in sequential._modules.items():
        if child is not None and _plain(child):
            yield from _links(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
