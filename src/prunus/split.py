"""Every call of an activation function as a module of its own, so that each can go by itself."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from prunus.agreement import agree, example_batches, outputs_of
from prunus.errors import TraceError, VerifyError
from prunus.inputs import Inputs
from prunus.modes import mode
from prunus.trace.links import ACTIVATIONS
from prunus.trace.restore import as_it_was, copy_of

# What takes the tensor first, and then what the module takes, under the same names.
_FUNCTIONS: Mapping[Any, Callable[..., nn.Module]] = {
    functional.relu: nn.ReLU, torch.relu: nn.ReLU, functional.relu6: nn.ReLU6,
    functional.relu_: partial(nn.ReLU, inplace=True), torch.relu_: partial(nn.ReLU, inplace=True),
    functional.leaky_relu: nn.LeakyReLU, functional.hardtanh: nn.Hardtanh,
    functional.gelu: nn.GELU, functional.silu: nn.SiLU, functional.mish: nn.Mish,
    functional.elu: nn.ELU, functional.celu: nn.CELU, functional.selu: nn.SELU,
    functional.hardswish: nn.Hardswish, functional.hardsigmoid: nn.Hardsigmoid,
    functional.softplus: nn.Softplus, functional.softsign: nn.Softsign,
    functional.tanh: nn.Tanh, torch.tanh: nn.Tanh,
    functional.sigmoid: nn.Sigmoid, torch.sigmoid: nn.Sigmoid,
}  # fmt: skip
_METHODS: Mapping[Any, Callable[..., nn.Module]] = {
    "relu": nn.ReLU, "relu_": partial(nn.ReLU, inplace=True),
    "tanh": nn.Tanh, "sigmoid": nn.Sigmoid,
}  # fmt: skip


@torch.no_grad()
def split_activations(model: nn.Module, example_inputs: Inputs) -> fx.GraphModule:
    """Return a copy of `model` in which each call of an activation function is its own module.

    `granularity="activation"` replaces modules. So a module that is called at several places, as
    in the blocks of torchvision's ResNets, and calls such as `F.relu(x)` or `x.relu()` are held;
    in the copy each of them is an `nn.ReLU` of its own. Parameters, buffers and the names of all
    other modules are those of `model`.

    The copy is a `torch.fx.GraphModule`: plain PyTorch, with a forward that was written down from
    that of `model`. Methods and attributes of the user's class are not in it. Build the model in
    the same way, by this function, before `prunus.load`.

    Args:
        model: Untouched. Its forward must be one that `torch.fx` can follow: without branches on
            values, and the same in training as in evaluation.
        example_inputs: As for `prune`.

    Raises:
        TraceError: `torch.fx` cannot follow the forward, or it differs in training.
        VerifyError: The copy does not compute what `model` computes.

    Cost: Two symbolic traces, one copy, and two forward passes of each at two batch sizes.

    Example:
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.one, self.two = nn.Linear(4, 8), nn.Linear(8, 2)
        ...     def forward(self, x):
        ...         return self.two(torch.relu(self.one(x)))
        >>> split_activations(Net(), torch.randn(1, 4)).relu
        ReLU()
    """
    result = copy_of(model)
    flags = {name: module.training for name, module in result.named_modules()}
    graph = _followed(result)
    named = (*result.named_modules(), *result.named_parameters(), *result.named_buffers())
    taken, called = {name for name, _ in named}, set[str]()
    for node in graph.nodes:
        made = _module_of(node, result, called)
        if made is not None:
            _call(node, made, result, taken)
    split = fx.GraphModule(result, graph, type(model).__name__)
    for name, module in split.named_modules():  # its containers are new ones
        module.training = flags.get(name, model.training)
    _check_same(model, split, example_inputs)
    return split


class _Tracer(fx.Tracer):
    """Follows a forward down to modules that hold nothing, the user's own among them."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own = super().is_leaf_module(m, module_qualified_name)
        return own or _holds_nothing(m)


def _holds_nothing(module: nn.Module) -> bool:
    return not (module._parameters or module._buffers or module._modules)


def _followed(model: nn.Module) -> fx.Graph:
    """Return what the forward calls.

    Raises:
        TraceError: It cannot be followed, or is another in training.
    """
    code = {}
    for training in (True, False):
        with as_it_was(model), mode(model, training=training):
            try:
                graph = _Tracer().trace(model)
            except Exception as error:
                raise TraceError(
                    f"torch.fx cannot follow the forward of {type(model).__name__}: "
                    f"{type(error).__name__}: {error}",
                    why="each call of an activation function becomes a module of its own in a "
                    "forward that is written down anew",
                    hint="give each call an nn.ReLU() or its like of its own in the code",
                ) from error
            code[training] = str(graph)
    if code[True] != code[False]:
        raise TraceError(
            f"the forward of {type(model).__name__} does something else in training",
            why="only one of the two can be written down, and the other would be lost",
            hint="nn.Dropout in place of F.dropout(training=self.training); otherwise give each "
            "call an nn.ReLU() or its like of its own in the code",
        )
    return graph


def _module_of(node: fx.Node, model: nn.Module, called: set[str]) -> nn.Module | None:
    """Return the module that a call becomes; None where it stays as it is.

    Args:
        node: The call.
        model: What it stands in.
        called: Modules that were called before; that of `node` is added.
    """
    if node.op == "call_module":
        name = str(node.target)
        module, again = model.get_submodule(name), name in called
        called.add(name)
        known = isinstance(module, ACTIVATIONS) or not type(module).__module__.startswith("torch.")
        return copy_of(module) if again and known and _holds_nothing(module) else None
    kinds = {"call_function": _FUNCTIONS, "call_method": _METHODS}.get(node.op, {})
    kind = kinds.get(node.target)
    settings = {name: value for name, value in node.kwargs.items() if name != "input"}
    if kind is None or any(isinstance(v, fx.Node) for v in (*node.args[1:], *settings.values())):
        return None
    return kind(*node.args[1:], **settings)


def _call(node: fx.Node, module: nn.Module, model: nn.Module, taken: set[str]) -> None:
    """Let a call be that of a new module, which is named after it."""
    name = str(node.target)
    if node.op != "call_module":
        stack = node.meta.get("nn_module_stack") or {"": ("",)}
        owner = stack[next(reversed(stack))][0]
        name = f"{owner}.{getattr(node.target, '__name__', name).strip('_')}".lstrip(".")
    free = (f"{name}_{number}" for number in count(2))
    name = name if name not in taken else next(each for each in free if each not in taken)
    taken.add(name)
    model.set_submodule(name, module)
    given = node.args[0] if node.args else node.kwargs["input"]
    node.op, node.target, node.args, node.kwargs = "call_module", name, (given,), {}


def _check_same(model: nn.Module, split: nn.Module, inputs: Inputs) -> None:
    batches = example_batches(model, inputs)
    try:
        agree(outputs_of(model, batches), outputs_of(split, batches))
    except VerifyError as error:
        raise VerifyError(
            "the model computes something else when its forward is written down",
            why=error.what.replace("shrunk", "split").replace("masked", "given"),
            hint="give each call an nn.ReLU() or its like of its own in the code",
        ) from error
