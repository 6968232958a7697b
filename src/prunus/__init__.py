"""prunus makes a trained PyTorch model smaller and faster at the same accuracy, with the proof.

pruned = prunus.prune(model, example_inputs, budget=prunus.Budget(macs=0.5))
print(pruned.report)
prunus.save(pruned, "small/")
"""

import typing

from prunus import _lazy
from prunus._version import __version__

if typing.TYPE_CHECKING:
    from prunus import criteria, errors, schedules
    from prunus.allocate import Budget
    from prunus.api import Pruned, load, prune, save
    from prunus.cost import measure_latency
    from prunus.errors import PruneError
    from prunus.explanation import explain
    from prunus.latency import latency_table
    from prunus.masks import Masked
    from prunus.picture import picture
    from prunus.pruner import Pruner
    from prunus.records import Plan
    from prunus.recover import recover, reestimate_batch_norm
    from prunus.save import load_latency_table, load_plan, save_latency_table, save_plan
    from prunus.shrink import compose, shrink
    from prunus.study import Strategy
    from prunus.study.compare import compare
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
    "Pruner",
    "Recipe",
    "Strategy",
    "__version__",
    "compare",
    "compose",
    "criteria",
    "errors",
    "explain",
    "fit",
    "latency_table",
    "load",
    "load_latency_table",
    "load_plan",
    "measure_latency",
    "picture",
    "prune",
    "recover",
    "reestimate_batch_norm",
    "save",
    "save_latency_table",
    "save_plan",
    "schedules",
    "shrink",
    "trace",
    "verify",
]

# The same once more for Python, which imports a name when it is first asked for.
_lazy.make_lazy(
    __name__,
    modules=("criteria", "errors", "schedules"),
    homes={
        "L1": "prunus.train.penalties",
        "L2": "prunus.train.penalties",
        "Budget": "prunus.allocate",
        "Comparison": "prunus.verify",
        "GroupLasso": "prunus.train.penalties",
        "Masked": "prunus.masks",
        "Plan": "prunus.records",
        "PruneError": "prunus.errors",
        "Pruned": "prunus.api",
        "Pruner": "prunus.pruner",
        "Recipe": "prunus.train",
        "Strategy": "prunus.study",
        "compare": "prunus.study.compare",
        "compose": "prunus.shrink",
        "explain": "prunus.explanation",
        "fit": "prunus.train",
        "latency_table": "prunus.latency",
        "load": "prunus.api",
        "load_latency_table": "prunus.save",
        "load_plan": "prunus.save",
        "measure_latency": "prunus.cost",
        "picture": "prunus.picture",
        "prune": "prunus.api",
        "recover": "prunus.recover",
        "reestimate_batch_norm": "prunus.recover",
        "save": "prunus.api",
        "save_latency_table": "prunus.save",
        "save_plan": "prunus.save",
        "shrink": "prunus.shrink",
        "trace": "prunus.trace",
        "verify": "prunus.verify",
    },
)
