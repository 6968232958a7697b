"""Numbers in PyTorch's own modules that repeat the shape of their tensors.

`out_channels` plays no part in a forward pass, but people read it, and `print(model)` shows it.
"""

from collections.abc import Iterable, Iterator, Mapping

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from prunus.extents import Extent
from prunus.records import Operator, SizeAttribute, Value

# Module class -> attribute -> where its value stands: (tensor, dim).
_MIRRORS: Mapping[type[nn.Module], Mapping[str, tuple[str, int]]] = {
    nn.Linear: {"out_features": ("weight", 0), "in_features": ("weight", 1)},
    nn.Bilinear: {"out_features": ("weight", 0), "in1_features": ("weight", 1)},
    nn.Embedding: {"num_embeddings": ("weight", 0), "embedding_dim": ("weight", 1)},
    nn.EmbeddingBag: {"num_embeddings": ("weight", 0), "embedding_dim": ("weight", 1)},
    nn.GroupNorm: {"num_channels": ("weight", 0)},
    nn.PReLU: {"num_parameters": ("weight", 0)},
    nn.RNNCellBase: {"input_size": ("weight_ih", 1), "hidden_size": ("weight_hh", 1)},
}


def mirrored(
    model: nn.Module, tensors: Mapping[str, Value], operators: Iterable[Operator]
) -> Iterator[SizeAttribute]:
    """Yield every attribute of PyTorch's modules that repeats a size."""
    channels = dict(_channels(operators))
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        for attribute, (tensor, dim) in _mirrors_of(module).items():
            if prefix + tensor in tensors:
                yield SizeAttribute(name, attribute, tensors[prefix + tensor].extents[dim])
        if isinstance(module, _ConvNd) and f"{prefix}weight" in channels:
            inputs, outputs = channels[f"{prefix}weight"]
            yield SizeAttribute(name, "in_channels", inputs)
            yield SizeAttribute(name, "out_channels", outputs)


def _mirrors_of(module: nn.Module) -> Mapping[str, tuple[str, int]]:
    if isinstance(module, _NormBase):
        return {"num_features": ("weight" if module.affine else "running_mean", 0)}
    for base in type(module).__mro__:
        if base in _MIRRORS:
            return _MIRRORS[base]
    return _recurrent(module) if isinstance(module, nn.RNNBase) else {}


def _recurrent(module: nn.RNNBase) -> Mapping[str, tuple[str, int]]:
    inputs = {"input_size": ("weight_ih_l0", 1)}
    if module.proj_size:
        projection = "weight_hr_l0"
        return inputs | {"proj_size": (projection, 0), "hidden_size": (projection, 1)}
    return inputs | {"hidden_size": ("weight_hh_l0", 1)}


def _channels(operators: Iterable[Operator]) -> Iterator[tuple[str, tuple[Extent, Extent]]]:
    """Yield, for the weight of every convolution, its input and output channels."""
    for operator in operators:
        if operator.name == "convolution":
            inputs, weight = operator.inputs[:2]
            if inputs is not None and weight is not None and weight.name is not None:
                yield weight.name, (inputs.extents[1], operator.outputs[0].extents[1])
