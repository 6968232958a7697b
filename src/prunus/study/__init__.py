"""A measured comparison of pruning strategies, on one's own model and data.

strategy.py            what is compared
compare.py, run.py     doing it; setting.py, reading.py: what all runs share, and what each reads
penalise.py, scratch.py, memory.py, models.py   parts of a run
records.py, results.py what is written down, one line per run
analysis.py, ...       what the runs say together; report/ shows it
"""

from prunus.study.best import best
from prunus.study.compare import compare
from prunus.study.records import Facts, Failure, Run, Study
from prunus.study.results import read_results
from prunus.study.strategy import Strategy, strategies

__all__ = [
    "Facts",
    "Failure",
    "Run",
    "Strategy",
    "Study",
    "best",
    "compare",
    "read_results",
    "strategies",
]
