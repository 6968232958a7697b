"""What could be pruned, what could not, and why, for every parameter of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from prunus import units
from prunus.cost import Costs, cost_model
from prunus.cost.counted import transient_buffers
from prunus.errors import PlanError, unknown_name
from prunus.inputs import Inputs
from prunus.records import Graph, Group, Groups
from prunus.trace import trace


@dataclass(frozen=True)
class UnitCost:
    """What removing the first unit of a group saves, with all other groups whole.

    Attributes:
        params: Numbers in the parameters; 0 where units are zeroed and no shape changes.
        macs: Multiply-adds of one forward pass at the example inputs.
    """

    params: int
    macs: int


@dataclass(frozen=True)
class Explanation:
    """What could be pruned, and what could not and why.

    Attributes:
        graph: What the trace learned.
        groups: Every group by name, frozen ones with the reason.
        costs: What the model costs under any plan.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> explanation = prunus.explain(model, torch.randn(1, 4))
        >>> for parameter, reasons in explanation.why("2").items():
        ...     print(parameter, *reasons, sep="\\n    ")
        2.weight
            dim 0: the 2 units of '2' are frozen: model output
            dim 1: the 8 units of '0' may be removed
        2.bias
            dim 0: the 2 units of '2' are frozen: model output
        >>> explanation.unit_cost("0")
        UnitCost(params=7, macs=6)
    """

    graph: Graph
    groups: Groups
    costs: Costs

    @property
    def unreached(self) -> tuple[str, ...]:
        """Parameters that no operator read."""
        return self.graph.unreached

    def unit_cost(self, group: str) -> UnitCost:
        """Return what removing one unit of a group saves, whether or not it may be removed.

        Raises:
            PlanError: There is no such group.
        """
        if group not in self.groups:
            raise unknown_name("group", group, self.groups, PlanError)
        less = {group: self.groups[group].size - 1}
        return UnitCost(
            params=self.costs.params({}) - self.costs.params(less),
            macs=self.costs.macs({}) - self.costs.macs(less),
        )

    def why(self, name: str = "") -> Mapping[str, tuple[str, ...]]:
        """Return, for each parameter of a layer, why its units may or may not be removed.

        Args:
            name: Of a parameter or of a layer; every parameter of the model unless given.

        Returns:
            Name of the parameter -> at least one sentence.

        Raises:
            PlanError: No parameter has this name and no layer that holds one.
        """
        known = {tensor: tensor for tensor in self.graph.tensors} | dict(self.graph.aliases)
        first = {other: tensor for other, tensor in known.items() if self._is_parameter(tensor)}
        chosen = [n for n in first if not name or n == name or n.startswith(f"{name}.")]
        if not chosen:
            layers = {parameter.rpartition(".")[0] for parameter in first} - {""}
            raise unknown_name("parameter or layer", name, {*first, *layers}, PlanError)
        return {parameter: self._reasons(parameter, first[parameter]) for parameter in chosen}

    @cached_property
    def _lie_in(self) -> Mapping[str, list[tuple[Group, int | None]]]:
        """Tensor -> the groups whose units lie in it, and along which dim."""
        found: dict[str, list[tuple[Group, int | None]]] = {}
        for group in self.groups.values():
            for member in group.members:
                found.setdefault(member.tensor, []).append((group, member.dim))
        return found

    def _is_parameter(self, tensor: str) -> bool:
        return tensor in self.graph.parameters

    def _reasons(self, name: str, tensor: str) -> tuple[str, ...]:
        shared = (f"it is the same tensor as '{tensor}'",) if name != tensor else ()
        if tensor in self.unreached:
            return (*shared, "no operator read it")
        found = {
            (-1 if dim is None else dim, group.name): _verdict(group, dim)
            for group, dim in self._lie_in.get(tensor, ())
        }
        if not found:
            shape = self.graph.tensors[tensor].shape
            return (*shared, f"no unit lies in it: its sizes {shape} are fixed or left out")
        return (*shared, *(found[key] for key in sorted(found)))

    def __str__(self) -> str:
        lines = []
        for group in self.groups.values():
            layers = group.blocks or dict.fromkeys(
                member.tensor.rpartition(".")[0] for member in group.members
            )
            state = f"frozen: {group.frozen_because}" if group.frozen_because else "free"
            lines.append(f"{group.name} ({group.size}) {state}")
            lines += [f"    {', '.join(layers)}"] if layers else []
        if self.unreached:
            lines.append(f"parameters that no operator read: {', '.join(self.unreached)}")
        return "\n".join(lines)


def explain(
    model: nn.Module,
    example_inputs: Inputs,
    *,
    granularity: str = "channel",
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
) -> Explanation:
    """Return every group of units: size, members, cost, and why it may not be cut.

    Arguments and errors are those of `prune`.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> print(prunus.explain(model, torch.randn(1, 4)))
        0 (8) free
            0, 2
        2 (2) frozen: model output
            2
        0.in (4) frozen: model input
            0
    """
    graph = trace(model, example_inputs)
    groups = units.groups(graph, granularity, include=include, exclude=exclude)
    return Explanation(graph, groups, cost_model(graph, groups, transient=transient_buffers(model)))


def _verdict(group: Group, dim: int | None) -> str:
    where = "every element" if dim is None else f"dim {dim}"
    because = group.frozen_because
    state = "may be removed" if because is None else f"are frozen: {because}"
    return f"{where}: the {group.size} units of '{group.name}' {state}"
