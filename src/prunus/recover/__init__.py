"""Getting accuracy back after a cut without training: no labels, no gradients."""

from prunus.recover.batch_norm import reestimate_batch_norm
from prunus.recover.bias_compensation import compensate_bias
from prunus.recover.least_squares import reconstruct

__all__ = ["compensate_bias", "reconstruct", "reestimate_batch_norm"]
