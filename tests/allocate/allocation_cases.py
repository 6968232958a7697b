"""Small models for the tests of allocation: costs, groups and scores without a network."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod

import torch
from hypothesis import strategies as st

from prunus.records import Group, Groups, Scores


class Chain:
    """Dense layers in a row, 3 inputs and 10 outputs, one group between each two.

    MACs weigh the layers 4, 3, 2, 1, ... so that they do not follow the parameters.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes

    def _layers(self, counts: Mapping[str, int]) -> list[int]:
        widths = [3, *(counts.get(name, size) for name, size in self.sizes.items()), 10]
        return [prod(pair) for pair in pairwise(widths)]

    def params(self, counts: Mapping[str, int]) -> int:
        return sum(self._layers(counts))

    def macs(self, counts: Mapping[str, int]) -> int:
        return sum(max(1, 4 - i) * layer for i, layer in enumerate(self._layers(counts)))

    def bytes(self, counts: Mapping[str, int]) -> int:
        return 4 * self.params(counts)


class TimedChain(Chain):
    """The same layers, timed in steps: widths count as the next multiple of 4."""

    step = 4

    def latency(self, counts: Mapping[str, int]) -> int:
        every = {name: counts.get(name, size) for name, size in self.sizes.items()}
        padded = {name: -(-width // self.step) * self.step for name, width in every.items()}
        return 1000 * sum(self._layers(padded)) + 5000


class Numbers:
    """A model of so many parameters; weights in it are zeroed."""

    def __init__(self, total: int) -> None:
        self.total = total

    def params(self, counts: Mapping[str, int]) -> int:
        assert not counts, "only the dense figure has a meaning"
        return self.total

    def macs(self, counts: Mapping[str, int]) -> int:
        raise AssertionError("not asked for")

    bytes = macs


def groups_of(
    sizes: Mapping[str, int],
    *,
    granularity: str = "channel",
    frozen: Mapping[str, str] | None = None,
) -> Groups:
    """Return groups of those sizes."""
    return {
        name: Group(name, granularity, size, (), frozen_because=(frozen or {}).get(name))
        for name, size in sizes.items()
    }


def scores_of(values: Mapping[str, Sequence[float]], *, piece: int = 7) -> Scores:
    """Return scores that come in pieces of `piece`."""
    tensors = {name: torch.tensor(list(scores)) for name, scores in values.items()}
    return Scores("ByHand()", lambda name: iter(tensors[name].split(piece)))


def scored_groups(*, most: int = 24, groups: int = 4) -> st.SearchStrategy[dict[str, list[float]]]:
    """Return scores of some groups, with many ties, zeros of both signs and infinities."""
    few = st.sampled_from([-1.0, -0.0, 0.0, 1.0, 2.0, float("inf"), float("-inf")])
    score = few | st.floats(allow_nan=False, width=32)
    group = st.lists(score, min_size=1, max_size=most)
    return st.lists(group, min_size=1, max_size=groups).map(
        lambda lists: {f"g{i}": scores for i, scores in enumerate(lists)}
    )
