"""Signals: the numbers that criteria read, collected once per run and laid out by units."""

from prunus.signals.activations import (
    ACTIVATION_MEAN,
    ACTIVATION_VARIANCE,
    ACTIVATION_ZEROS,
    RANK,
)
from prunus.signals.blocks import INFLUENCE, ORDER
from prunus.signals.collect import collect
from prunus.signals.contributions import CONTRIBUTION
from prunus.signals.gradients import GRADIENT, GRADIENT_PRODUCT, GRADIENT_SQUARE
from prunus.signals.hessian import hessian_diagonal
from prunus.signals.hessian_gradient import HESSIAN_GRADIENT
from prunus.signals.inputs_read import INPUT, INPUT_SQUARE, OUTPUT
from prunus.signals.lines import LINE_CHANGE, LINE_LOSS
from prunus.signals.movement import movement
from prunus.signals.norm_scales import NORM_SCALE
from prunus.signals.sample_gradients import SAMPLE_GRADIENT_SQUARE
from prunus.signals.signal import Request, Signal
from prunus.signals.synaptic_flow import synaptic_flow
from prunus.signals.tensors import GroupTensors, MemberTensors, Signals, group_of
from prunus.signals.weights import WEIGHT

__all__ = [
    "ACTIVATION_MEAN",
    "ACTIVATION_VARIANCE",
    "ACTIVATION_ZEROS",
    "CONTRIBUTION",
    "GRADIENT",
    "GRADIENT_PRODUCT",
    "GRADIENT_SQUARE",
    "HESSIAN_GRADIENT",
    "INFLUENCE",
    "INPUT",
    "INPUT_SQUARE",
    "LINE_CHANGE",
    "LINE_LOSS",
    "NORM_SCALE",
    "ORDER",
    "OUTPUT",
    "RANK",
    "SAMPLE_GRADIENT_SQUARE",
    "WEIGHT",
    "GroupTensors",
    "MemberTensors",
    "Request",
    "Signal",
    "Signals",
    "collect",
    "group_of",
    "hessian_diagonal",
    "movement",
    "synaptic_flow",
]
