"""Getting accuracy back after a cut, with and without training; `recover` combines the steps."""

from prunus.recover.base import Cut, Given, Held, Recovery, Training
from prunus.recover.batch_norm import reestimate_batch_norm
from prunus.recover.bias_compensation import compensate_bias
from prunus.recover.features import FeatureDistillation
from prunus.recover.least_squares import reconstruct
from prunus.recover.run import RECOVERIES, Recovered, get, recover
from prunus.recover.steps import (
    BatchNorm,
    Bias,
    FineTune,
    FoldTwins,
    LeastSquares,
    LogitDistillation,
)
from prunus.recover.twins import fold_twins

__all__ = [
    "RECOVERIES",
    "BatchNorm",
    "Bias",
    "Cut",
    "FeatureDistillation",
    "FineTune",
    "FoldTwins",
    "Given",
    "Held",
    "LeastSquares",
    "LogitDistillation",
    "Recovered",
    "Recovery",
    "Training",
    "compensate_bias",
    "fold_twins",
    "get",
    "reconstruct",
    "recover",
    "reestimate_batch_norm",
]
