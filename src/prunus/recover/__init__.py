"""Getting accuracy back after a cut without training: no labels, no gradients."""

from prunus.recover.batch_norm import reestimate_batch_norm

__all__ = ["reestimate_batch_norm"]
