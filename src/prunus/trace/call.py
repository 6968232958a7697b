"""What a rule sees of one operator that ran, and the table of rules.

To add a rule: a function in the file of its operator family, decorated with the ATen names that
it serves. It gets a `Call` and returns the `Dims` of each tensor that the operator returned, in
order; one `Dims` where there is one.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from prunus.trace.axes import SPACE, Mismatch, Node, freeze, fresh, leaves_of, mark_inexact, unify

NOT_ZERO = "sums over values that are not zero when removed"


@dataclass(frozen=True)
class Dims:
    """What is known of a tensor's dims.

    Attributes:
        nodes: The extent of each dim.
        zero: Per dim, whether the masked model has zeros in this tensor wherever a removed unit
            of that dim lies. True for parameters; followed along the operators.
        points_to: Of whole numbers that are places along another dim, such as the experts that a
            token was sent to, the extent of that dim.
    """

    nodes: tuple[Node, ...]
    zero: tuple[bool, ...]
    points_to: Node | None = None

    def replaced(self, dim: int, node: Node, *, zero: bool) -> "Dims":
        """Return these dims with one of them replaced."""
        nodes, flags = list(self.nodes), list(self.zero)
        nodes[dim], flags[dim] = node, zero
        return Dims(tuple(nodes), tuple(flags))

    def picked(self, order: Sequence[int]) -> "Dims":
        """Return the dims at `order`."""
        return Dims(tuple(self.nodes[k] for k in order), tuple(self.zero[k] for k in order))


def fixed(shape: Sequence[int], reason: str) -> Dims:
    """Return frozen dims of their own for a tensor of `shape`."""
    return Dims(tuple(fresh(size, reason) for size in shape), (False,) * len(shape))


def for_real() -> AbstractContextManager[Any]:
    """Suspend the trace, so that tensors made and operators run inside are real."""
    return _disable_current_modes()


@cache
def is_composite(function: Any) -> bool:
    """Whether PyTorch takes an ATen operator apart; in inference mode it leaves that to others."""
    if function.namespace == "prim":
        return False
    name = function.name()
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd"))


def is_noted(function: Any, outputs: Sequence[Tensor]) -> bool:
    """Whether an operator that ran is part of the graph: it returned tensors, or wrote to some."""
    return function.namespace != "prim" and bool(outputs or function._schema.is_mutable)


@dataclass(frozen=True)
class Call:
    """One operator that ran.

    Attributes:
        function: The ATen operator.
        arguments: All its arguments by their name in the schema, defaults filled in.
        outputs: The tensors that it returned.
        dims_of: Tensor -> its dims.
        location: The user's source line.
    """

    function: Any
    arguments: Mapping[str, Any]
    outputs: tuple[Tensor, ...]
    dims_of: Callable[[Tensor], Dims]
    location: str

    @cached_property
    def name(self) -> str:
        """Name without namespace and overload: "convolution"."""
        return str(self.function._schema.name.split("::")[1])

    def __getitem__(self, argument: str) -> Any:
        return self.arguments[argument]

    def get(self, argument: str, default: Any = None) -> Any:
        """Return an argument, or `default` where the operator has none of that name."""
        return self.arguments.get(argument, default)

    def dims(self, argument: str) -> Dims:
        """Return the dims of a tensor argument."""
        return self.dims_of(self.arguments[argument])

    def dim(self, argument: str = "dim", *, of: int) -> int:
        """Return an argument that counts dims of a tensor of `of` dims, as 0 <= dim < of."""
        return int(self.arguments[argument]) % max(of, 1)

    def dim_list(self, argument: str = "dim", *, of: int) -> list[int]:
        """Return an argument that lists dims; all dims where it is absent or empty."""
        dims = self.arguments[argument]
        if dims is None or dims == []:
            return list(range(of))
        return [int(dim) % max(of, 1) for dim in ([dims] if isinstance(dims, int) else dims)]

    def unify(self, one: Node, other: Node) -> None:
        """Make two extents the same; freeze both, with the reason, where that cannot be."""
        try:
            unify(one, other)
        except Mismatch as mismatch:
            self.freeze(one, str(mismatch))
            self.freeze(other, str(mismatch))

    def freeze(self, node: Node, why: str) -> None:
        """Forbid removing units of `node`."""
        freeze(node, f"{self.name} at {self.location}: {why}")

    def mark_inexact(self, node: Node, why: str) -> None:
        """Note that removing units of `node` is not exact."""
        mark_inexact(node, f"{self.name} at {self.location}: {why}")

    def run_along(self, nodes: Sequence[Node]) -> None:
        """Let neighbouring positions of these dims meet, as in a kernel: none may be removed."""
        for leaf in (leaf for node in nodes for leaf in leaves_of(node)):
            if SPACE not in leaf.frozen:
                self.freeze(leaf, "runs along the units, so that neighbours meet")

    def contract(self, one: Dims, dim: int, other: Dims, other_dim: int) -> None:
        """Sum over a dim of two tensors that are multiplied."""
        self.unify(one.nodes[dim], other.nodes[other_dim])
        if not (one.zero[dim] or other.zero[other_dim]):
            self.mark_inexact(one.nodes[dim], NOT_ZERO)

    def run_on(self, tensors: Mapping[str, Any]) -> Any:
        """Run the operator for real with other values for some of its arguments."""
        arguments = {**self.arguments, **tensors}
        positional, keyword = [], {}
        for argument in self.function._schema.arguments:
            if argument.kwarg_only:
                keyword[argument.name] = arguments[argument.name]
            else:
                positional.append(arguments[argument.name])
        with for_real():
            return self.function(*positional, **keyword)


Rule: TypeAlias = Callable[[Call], Dims | Sequence[Dims]]

RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for the ATen operators of these names."""

    def register(function: Rule) -> Rule:
        for name in names:
            if name in RULES:
                raise AssertionError(f"two rules for {name}")
            RULES[name] = function
        return function

    return register
