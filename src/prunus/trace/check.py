"""What cannot be traced, said before anything runs: models that are no eager ones, bad inputs."""

import sys
from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from prunus.errors import TraceError
from prunus.inputs import Inputs, device_of, tensors_in


def check(model: nn.Module, inputs: Inputs) -> None:
    """Raise TraceError where `model` cannot be traced and cut, or not with these inputs."""
    if not isinstance(model, nn.Module):
        raise TraceError(
            f"the model is a {type(model).__name__}, not a torch.nn.Module",
            hint="pass the module itself: prunus.prune(model, example_inputs, ...)",
        )
    first: dict[type[nn.Module], str] = {}
    for name, module in model.named_modules():
        first.setdefault(type(module), f"'{name}'" if name else "the model")
    for kind, name in first.items():
        _check_class(name, kind)
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        _check_tensor(name, tensor)
    _check_inputs(model, inputs)


def _check_class(name: str, kind: type[nn.Module]) -> None:
    if issubclass(kind, torch.jit.ScriptModule):
        raise TraceError(
            f"{name} is TorchScript ({kind.__name__})",
            why="its Python code is gone: no size in it can follow a cut",
            hint="prune the eager model, and script or trace the result",
        )
    wrappers = {each.__name__ for each in kind.__mro__} & _WRAPPERS.keys()
    if wrappers:
        raise TraceError(
            f"{name} is wrapped for several devices ({kind.__name__})",
            why="the wrapper holds on to the dense parameters",
            hint=_WRAPPERS[wrappers.pop()],
        )
    if kind.__module__.startswith(("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quant")):
        raise TraceError(
            f"{name} is quantised ({kind.__module__}.{kind.__name__})",
            why="its weights are packed integers, which cannot be cut",
            hint="prune the float model, and quantise the result",
        )


_UNWRAP = "prune model.module, and wrap the result anew"
_SHARDED = "prune before the model is sharded, and shard the result"
# Classes by name, since those of torch.distributed are not there everywhere.
_WRAPPERS: Mapping[str, str] = {
    "DataParallel": _UNWRAP,
    "DistributedDataParallel": _UNWRAP,
    "FullyShardedDataParallel": _SHARDED,
    "FSDPModule": _SHARDED,
}


def _check_tensor(name: str, tensor: Tensor) -> None:
    if is_lazy(tensor):
        raise TraceError(
            f"'{name}' has no shape yet",
            why="a lazy module gets it when it first runs",
            hint="run the model once, model(example_inputs), and prune it then",
        )
    if is_traceable_wrapper_subclass(tensor):
        sharded = _is_sharded(tensor)
        raise TraceError(
            f"'{name}' is a {type(tensor).__name__}, which is made of other tensors",
            why="it lies in pieces on several devices" if sharded else "prunus cuts plain tensors",
            hint=_SHARDED
            if sharded
            else "prune the model with plain tensors, and convert the result",
        )
    if tensor.layout != torch.strided or tensor.is_quantized:
        kind = "quantised" if tensor.is_quantized else f"of layout {tensor.layout}"
        raise TraceError(
            f"'{name}' is {kind}",
            why="prunus cuts dense tensors",
            hint="prune the model with dense tensors, and convert the result",
        )
    if tensor.is_inference() and not torch.is_inference_mode_enabled():
        raise TraceError(
            f"'{name}' is an inference tensor",
            why="it was made in torch.inference_mode(), and cannot be written to outside of it",
            hint="prune a plain copy: prunus.prune(copy.deepcopy(model), ...)",
        )


def _is_sharded(tensor: Tensor) -> bool:
    distributed: Any = sys.modules.get("torch.distributed.tensor")
    return distributed is not None and isinstance(tensor, distributed.DTensor)


def _check_inputs(model: nn.Module, inputs: Inputs) -> None:
    device = device_of(model)
    found = list(tensors_in(inputs))
    if not found:
        raise TraceError(
            f"example_inputs hold no tensor, but a {type(inputs).__name__}",
            hint="pass a tensor, a tuple of arguments, or a dict of keyword arguments",
        )
    if not any(tensor.numel() for tensor in found):
        shapes = ", ".join("x".join(map(str, tensor.shape)) for tensor in found)
        raise TraceError(
            f"example_inputs hold no number: {shapes}",
            why="nothing is computed for them, so nothing can be counted or compared",
            hint="pass a batch of 1 or more",
        )
    for tensor in found:
        if tensor.device != device:
            raise TraceError(
                f"example_inputs lie on {tensor.device}, the model on {device}",
                hint=f"pass example_inputs.to('{device}')",
            )


def check_outputs(outputs: Any) -> None:
    """Raise TraceError unless there is a tensor in what a model returned."""
    if next(tensors_in(outputs), None) is None:
        raise TraceError(
            f"the model returns no tensor, but a {type(outputs).__name__}",
            why="so it is not known what must stay; prunus looks into tuples, lists, dicts, "
            "dataclasses and namespaces",
            hint="let forward return its tensors, or register the class with "
            "torch.utils._pytree.register_pytree_node",
        )
