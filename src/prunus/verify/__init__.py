"""Did it work? The masked model is the shrunk one, and the accuracy is the same as before."""

from prunus.verify.accuracy import measure, verify
from prunus.verify.comparison import Comparison, Verdict, verdict_of
from prunus.verify.paired import compare, compare_metric
from prunus.verify.statistics import Interval, t_interval

__all__ = [
    "Comparison",
    "Interval",
    "Verdict",
    "compare",
    "compare_metric",
    "measure",
    "t_interval",
    "verdict_of",
    "verify",
]
