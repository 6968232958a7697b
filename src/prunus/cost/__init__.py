"""What a model costs: counted from its graph or its tensors, and measured by running it."""

from prunus.cost.blocks import BlockCosts
from prunus.cost.costs import Costs, cost_model
from prunus.cost.counted import count
from prunus.cost.folds import FoldedCosts
from prunus.cost.latency import Curve, LatencyTable
from prunus.cost.measured import measure_latencies, measure_latency, measure_peak_memory
from prunus.cost.model import CostModel

__all__ = [
    "BlockCosts",
    "CostModel",
    "Costs",
    "Curve",
    "FoldedCosts",
    "LatencyTable",
    "cost_model",
    "count",
    "measure_latencies",
    "measure_latency",
    "measure_peak_memory",
]
