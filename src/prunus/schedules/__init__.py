"""Schedules: how a budget is approached over the steps of a training.

base.py                          what a schedule is
one_shot.py, ...                 one schedule a file
scaled.py                        schedules by name, as long as a training
stages.py                        budgets on the way, and units that stay removed
"""

from prunus.schedules.base import Actions, Regrow, Schedule
from prunus.schedules.budgeted import BudgetedRetraining
from prunus.schedules.cubic import Cubic
from prunus.schedules.dynamic import Dynamic
from prunus.schedules.iterative import Iterative
from prunus.schedules.one_shot import OneShot
from prunus.schedules.rewind import Rewind
from prunus.schedules.scaled import scaled
from prunus.schedules.stages import rescored

__all__ = [
    "Actions",
    "BudgetedRetraining",
    "Cubic",
    "Dynamic",
    "Iterative",
    "OneShot",
    "Regrow",
    "Rewind",
    "Schedule",
    "rescored",
    "scaled",
]
