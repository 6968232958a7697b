"""In some equal rounds, each of which scores anew."""

from dataclasses import dataclass
from typing import Literal, final

from prunus.schedules.base import Actions, Schedule, check, check_choice


@final
@dataclass(frozen=True, kw_only=True)
class Iterative(Schedule):
    """Units go in rounds; before each the rest is scored anew, so they are judged as they now are.

    After round k of K with the share f to keep in the end, the share that is kept is

        geometric   f ** (k / K): each round takes the same share of what is left
        linear      1 - (1 - f) k / K: each round takes the same amount

    `prunus.prune(..., schedule=Iterative(rounds=10))` scores anew in each round without training
    in between, which is how SynFlow is meant.

    Source: Han et al. 2015, arXiv:1506.02626; Tanaka et al. 2020, arXiv:2006.05467, for geometric
    rounds without training.

    Attributes:
        rounds: How many.
        every: Steps of the optimizer from one to the next.
        begin: Step of the first.
        spacing: "geometric" or "linear".

    Example:
        >>> schedule = Iterative(rounds=2, every=10)
        >>> schedule.share(0, final=0.25), schedule.share(10, final=0.25)
        (0.5, 0.25)
    """

    rounds: int = 5
    every: int = 1
    begin: int = 0
    spacing: Literal["geometric", "linear"] = "geometric"

    def __post_init__(self) -> None:
        check(self, rounds=1, every=1, begin=0)
        check_choice(self, "spacing", ("geometric", "linear"))

    def at(self, step: int) -> Actions:
        """Choose in every round."""
        due = self.begin <= step <= self.last and (step - self.begin) % self.every == 0
        return Actions(choose=due)

    def share(self, step: int, *, final: float) -> float:
        """Return what is kept after the last round up to `step`."""
        done = min(max((step - self.begin) // self.every + 1, 0), self.rounds) / self.rounds
        return in_rounds(done, final=final, spacing=self.spacing)

    @property
    def last(self) -> int:
        """The step of the last round."""
        return self.begin + (self.rounds - 1) * self.every


def in_rounds(done: float, *, final: float, spacing: str) -> float:
    """Return the share that is kept after a share of the rounds is done.

    Example:
        >>> in_rounds(0.5, final=0.25, spacing="linear")
        0.625
    """
    if done == 1:
        return final
    return float(final**done) if spacing == "geometric" else 1 - (1 - final) * done
