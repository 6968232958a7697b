"""Penalties drive units to zero while a model trains, so that little is lost when they are cut.

`PENALTIES` lists them by the name that the command line knows; the contract suite runs over it.
"""

from collections.abc import Mapping

from prunus.train.penalties.base import Owned, Parts, Penalty, norms_of, owned_by, sum_over
from prunus.train.penalties.controller import Check, Controller, Steering
from prunus.train.penalties.elastic_net import ElasticNet
from prunus.train.penalties.group_lasso import GroupLasso
from prunus.train.penalties.group_sparse import GroupSparse
from prunus.train.penalties.growing_l2 import GReg1, GReg2
from prunus.train.penalties.hard_concrete import HardConcrete
from prunus.train.penalties.l1 import L1
from prunus.train.penalties.l2 import L2
from prunus.train.penalties.slimming import Slimming

PENALTIES: Mapping[str, type[Penalty]] = {
    "elastic-net": ElasticNet,
    "greg-1": GReg1,
    "greg-2": GReg2,
    "group-lasso": GroupLasso,
    "group-sparse": GroupSparse,
    "hard-concrete": HardConcrete,
    "l1": L1,
    "l2": L2,
    "slimming": Slimming,
}

__all__ = [
    "L1",
    "L2",
    "PENALTIES",
    "Check",
    "Controller",
    "ElasticNet",
    "GReg1",
    "GReg2",
    "GroupLasso",
    "GroupSparse",
    "HardConcrete",
    "Owned",
    "Parts",
    "Penalty",
    "Slimming",
    "Steering",
    "norms_of",
    "owned_by",
    "sum_over",
]
