"""Train, prune, go back, train again: lottery tickets, and rewinding of the learning rate."""

from dataclasses import dataclass
from typing import Literal, final

from prunus.errors import TrainError
from prunus.schedules.base import Actions, Schedule, check, check_choice
from prunus.schedules.iterative import in_rounds


@final
@dataclass(frozen=True, kw_only=True)
class Rewind(Schedule):
    """Every round trains to the end, prunes, and goes back to an early step.

    A training runs from step 0 to step `length`; after a cut it starts over at step `to`.
    `what="weights"` puts back the weights and buffers of step `to` that are still at work, and
    drops the state of the optimizer (lottery tickets); `what="rate"` leaves the weights as
    trained. In both the learning rate goes back to that of step `to`: the training loop takes it
    from `pruner.clock`, which counts as if nothing had been trained since. After round k of K the
    share f ** (k / K) is kept. The last round trains to the end once more: train for `total` steps.

    With a large network go back to an early step, not to the initialisation. The learning rate
    of the first training is most of the effect, so rewinding it alone does as well.

    Source: Frankle and Carbin 2018, arXiv:1803.03635; Frankle et al. 2019, arXiv:1903.01611, for
    an early step; Renda et al. 2020, arXiv:2003.02389, for the learning rate.

    Attributes:
        rounds: How often is pruned.
        length: Steps of one training.
        to: The step that each round goes back to.
        what: "weights" or "rate".

    Raises:
        TrainError: A number is out of its range.

    Example:
        >>> schedule = Rewind(rounds=2, length=100, to=10)
        >>> schedule.choices(), schedule.total
        ([100, 190], 280)
    """

    rounds: int
    length: int
    to: int = 0
    what: Literal["weights", "rate"] = "weights"

    def __post_init__(self) -> None:
        check(self, rounds=1, length=1, to=0)
        check_choice(self, "what", ("weights", "rate"))
        if self.to >= self.length:
            raise TrainError(
                f"Rewind(to={self.to}, length={self.length}) means nothing",
                why="each round goes back to a step before the end of a training",
                hint="to=0, or the step after a few epochs",
            )

    @property
    def total(self) -> int:
        """Steps of all rounds together."""
        return self.last + self.length - self.to

    @property
    def horizon(self) -> int:
        """Each training has its own."""
        return self.length

    def at(self, step: int) -> Actions:
        """Prune and go back at the end of every training."""
        weights = self.what == "weights"
        since = step - self.length
        if since >= 0 and step <= self.last and since % (self.length - self.to) == 0:
            return Actions(choose=True, rewind=self.to, restore=weights)
        return Actions(remember=weights and step == self.to)

    def share(self, step: int, *, final: float) -> float:
        """Return what is kept after the last cut up to `step`."""
        cuts = (step - self.length) // (self.length - self.to) + 1
        done = min(max(cuts, 0), self.rounds) / self.rounds
        return in_rounds(done, final=final, spacing="geometric")

    @property
    def last(self) -> int:
        """The step of the last cut."""
        return self.length + (self.rounds - 1) * (self.length - self.to)
