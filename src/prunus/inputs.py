"""How prunus calls a model: with a tensor, a tuple of arguments, or a dict of keyword arguments.

A batch of data is a pair (inputs, targets); `inputs` has one of the three forms.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

Inputs: TypeAlias = Any
Loss: TypeAlias = Callable[[Any, Any], Tensor]


def call(model: nn.Module, inputs: Inputs) -> Any:
    """Return `model(...)`: a dict becomes keyword arguments, a tuple arguments, all else one."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, tuple):
        return model(*inputs)
    return model(inputs)


def tensors_in(tree: Any) -> Iterator[Tensor]:
    """Yield every tensor in nested tuples, lists, dicts and registered containers, in order."""
    for leaf in pytree.tree_leaves(tree):
        if isinstance(leaf, Tensor):
            yield leaf


def map_tensors(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """Return `tree` with `function` applied to every tensor in it."""
    return pytree.tree_map_only(Tensor, function, tree)


def device_of(model: nn.Module) -> torch.device:
    """Return the device of the first parameter or buffer; the CPU for a model that has none."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def to_device(tree: Any, device: torch.device) -> Any:
    """Return `tree` with every tensor on `device`."""
    return map_tensors(lambda tensor: tensor.to(device), tree)
