"""What a criterion is, and how groups are scored with one.

Legend: U units of a group, F numbers a unit owns in a tensor.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from prunus.errors import CriterionError
from prunus.records import Groups, Scores
from prunus.signals.signal import Signal
from prunus.signals.tensors import PIECE, GroupTensors, Signals
from prunus.signals.weights import is_finite


class Criterion(ABC):
    """Scores the units of one group. Larger means keep.

    To add one: a frozen dataclass in its own file of this folder, with `needs` and `score`.
    Nothing else is overridden; names, command line and contract tests find it by themselves.

    Attributes:
        elementwise: A unit's score depends on its own numbers only, not on those of the other
            units. Where every weight is a unit, such a criterion is given a group in pieces;
            any other gets it whole.
        follows_units: Reordering the units reorders their scores, and members may come in any
            order. True for all that look at the numbers; a random baseline does not.
    """

    elementwise: ClassVar[bool] = False
    follows_units: ClassVar[bool] = True

    @property
    @abstractmethod
    def needs(self) -> frozenset[Signal]:
        """The signals that `score` reads; reading any other raises CriterionError."""

    @abstractmethod
    def score(self, group: GroupTensors) -> Tensor:
        """Return one score per unit, (U,), in a new tensor. Must not write to those of `group`."""

    @property
    def by_layer(self) -> bool:
        """Whether scores compare within a group alone, so that each is to lose the same share.

        Then the allocation is "uniform" where the user names none. False but where single weights
        or blocks are what a criterion was made for and its paper prunes layer by layer.
        """
        return False

    def __repr__(self) -> str:
        """Show the settings, also of a criterion that is no dataclass: studies know it by this."""
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"

    def __call__(self, group: GroupTensors) -> Tensor:
        """Return the scores of `group` and hold them to the contract: float32, (U,), finite.

        Raises:
            CriterionError: The criterion broke the contract.
        """
        versions = group.versions()
        with torch.no_grad():
            score_U = self.score(group)
        if group.versions() != versions:
            raise CriterionError(
                f"{self!r} wrote to the tensors of group '{group.name}'",
                why="these are the weights of the model and signals that other criteria read; "
                "they are no longer what they were",
                hint="load the model again, and use operations that return a new tensor: abs, "
                "not abs_",
            )
        shape = tuple(score_U.shape) if isinstance(score_U, Tensor) else type(score_U).__name__
        if shape != (group.num_units,):
            raise CriterionError(
                f"{self!r} returned scores of shape {shape} for group '{group.name}', "
                f"expected ({group.num_units},)",
                why="each of the group's units needs exactly one score",
                hint="reduce every member over dim 1 before adding members together",
            )
        score_U = score_U.float()
        if not is_finite(score_U):
            raise CriterionError(
                f"{self!r} returned scores for group '{group.name}' that are NaN or infinite",
                why="units are ranked, and these have no rank",
                hint="guard divisions and logarithms, and mind that float32 ends at 3.4e38",
            )
        return score_U


def scores(criterion: Criterion, groups: Groups, signals: Signals) -> Scores:
    """Return the scores of all units of `groups`, made when they are read.

    Args:
        criterion: What scores.
        groups: What is scored.
        signals: What `prunus.signals.collect` returned for this criterion and these groups.

    Returns:
        Scores on the CPU, float32. Nothing is kept: they are made anew at each reading, from the
        weights as they are then.

    Cost: No more memory than one member of one group needs in float32, or one piece of 1 MB
        where every weight is a unit and the criterion is elementwise.

    Raises:
        CriterionError: When they are read: a signal is missing, or the criterion broke its
            contract.

    Example:
        >>> from prunus.criteria import Magnitude
        >>> from prunus.records import Group, Member
        >>> from prunus.signals import collect
        >>> model, magnitude = nn.Linear(2, 1, bias=False), Magnitude(p=1)
        >>> _ = nn.init.constant_(model.weight, -0.5)
        >>> groups = {"weight": Group("weight", "weight", 2, (Member("weight", None),))}
        >>> scores(magnitude, groups, collect(model, groups, [magnitude]))["weight"]
        tensor([0.5000, 0.5000])
    """

    def stream(name: str) -> Iterator[Tensor]:
        group = groups[name]
        size = PIECE if criterion.elementwise else group.size
        for piece in signals.pieces(group, criterion.needs, size=size):
            yield criterion(piece).cpu()

    return Scores(criterion=repr(criterion), stream=stream)
