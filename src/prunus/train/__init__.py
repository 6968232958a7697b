"""Training: one loop for dense models and pruned ones, and penalties that drive units to zero."""

from prunus.train.distill import distillation
from prunus.train.hooks import Epoch, Hook, Step
from prunus.train.loop import History, fit
from prunus.train.recipe import OPTIMIZERS, Recipe, learning_rate, make_optimizer

__all__ = [
    "OPTIMIZERS",
    "Epoch",
    "History",
    "Hook",
    "Recipe",
    "Step",
    "distillation",
    "fit",
    "learning_rate",
    "make_optimizer",
]
