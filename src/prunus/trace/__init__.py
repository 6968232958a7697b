"""Model and example inputs -> Graph."""

from prunus.trace.replay import Divergence, replay
from prunus.trace.tracer import trace

__all__ = ["Divergence", "replay", "trace"]
