"""Which figures a model has, by how it is cut into units."""

from collections.abc import Collection
from typing import TypeAlias

from prunus.cost.blocks import BlockCosts
from prunus.cost.folds import FoldedCosts
from prunus.cost.latency import LatencyTable
from prunus.cost.model import CostModel
from prunus.records import Graph, Groups

Costs: TypeAlias = CostModel | BlockCosts | FoldedCosts


def cost_model(
    graph: Graph,
    groups: Groups,
    *,
    transient: Collection[str] = (),
    table: LatencyTable | None = None,
) -> Costs:
    """Return what the model of `graph` costs that keeps some units of `groups`."""
    dense = CostModel(graph, transient, table)
    kinds = {group.granularity for group in groups.values()}
    if kinds & {"activation", "activation_channel"}:
        return FoldedCosts(dense, groups)
    rows = {name: group for name, group in groups.items() if group.blocks}
    return BlockCosts(dense, rows) if rows else dense
