"""Penalties drive units to zero while a model trains, so that little is lost when they are cut.

`PENALTIES` lists them by the name that the command line knows; the contract suite runs over it.
"""

from collections.abc import Mapping

from prunus.train.penalties.base import Owned, Parts, Penalty, norms_of, owned_by, sum_over
from prunus.train.penalties.controller import Check, Controller, Steering
from prunus.train.penalties.group_lasso import GroupLasso
from prunus.train.penalties.l1 import L1
from prunus.train.penalties.l2 import L2

PENALTIES: Mapping[str, type[Penalty]] = {"group-lasso": GroupLasso, "l1": L1, "l2": L2}

__all__ = [
    "L1",
    "L2",
    "PENALTIES",
    "Check",
    "Controller",
    "GroupLasso",
    "Owned",
    "Parts",
    "Penalty",
    "Steering",
    "norms_of",
    "owned_by",
    "sum_over",
]
