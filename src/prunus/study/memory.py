"""How much memory scoring takes."""

from prunus.cost.measured import LiveStorages
from prunus.criteria import Criterion
from prunus.solvers import Solver
from prunus.study.setting import Job, Setting


class ScoreMemory:
    """Measures each criterion or solver once: the figure is the same at every budget and seed.

    It is the largest sum of bytes of the tensors that are alive at once while signals are
    collected and every unit is scored, above what was there before: exact on the CPU, scratch
    memory inside an operator left out. Measured in a pass of its own, as watching every operator
    would slow down the one that is timed.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.known: dict[tuple[str, Criterion | Solver], int] = {}

    def __call__(self, job: Job) -> int | None:
        """Return the bytes; None for a network from scratch, where nothing is scored."""
        if job.strategy.from_scratch:
            return None
        key = (job.strategy.granularity, job.strategy.criterion_for(0))
        if key not in self.known:
            self.known[key] = self._measured(job)
        return self.known[key]

    def _measured(self, job: Job) -> int:
        planner = self.setting.planner(self.setting.dense, job)
        live = LiveStorages()
        with live:
            data, loss = self.setting.calibration(job.seed), self.setting.loss
            scores = planner.scores(data=data, loss=loss)
            if planner.solver is not None:
                kept = planner.kept(scores, data=data, loss=loss)
                planner.solved(planner.plan(kept), data=data)
            else:
                for name in planner.free:
                    for _ in scores.stream(name):
                        pass
        return live.peak
