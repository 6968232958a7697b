"""prunus makes a trained PyTorch model smaller and faster at the same accuracy, with the proof.

pruned = prunus.prune(model, example_inputs, budget=prunus.Budget(macs=0.5))
print(pruned.report)
prunus.save(pruned, "small/")
"""

from prunus import criteria, errors
from prunus._version import __version__
from prunus.allocate import Budget
from prunus.api import Pruned, load, prune, save
from prunus.cost import measure_latency
from prunus.errors import PruneError
from prunus.explanation import explain
from prunus.masks import Masked
from prunus.records import Plan
from prunus.recover import reestimate_batch_norm
from prunus.save import load_plan, save_plan
from prunus.shrink import compose, shrink
from prunus.study import Strategy, compare
from prunus.trace import trace
from prunus.train import Recipe, fit
from prunus.train.penalties import L1, L2, GroupLasso
from prunus.verify import Comparison, verify

__all__ = [
    "L1",
    "L2",
    "Budget",
    "Comparison",
    "GroupLasso",
    "Masked",
    "Plan",
    "PruneError",
    "Pruned",
    "Recipe",
    "Strategy",
    "__version__",
    "compare",
    "compose",
    "criteria",
    "errors",
    "explain",
    "fit",
    "load",
    "load_plan",
    "measure_latency",
    "prune",
    "reestimate_batch_norm",
    "save",
    "save_plan",
    "shrink",
    "trace",
    "verify",
]
