import pytest
import torch
from scipy import stats

from prunus.criteria import Random, scores
from prunus.errors import CriterionError
from prunus.records import Group, Member
from prunus.signals import Signals


def score(seed: int, *, name: str = "conv1", size: int = 100) -> torch.Tensor:
    group = Group(name, "weight", size, (Member(name, None),))
    return scores(Random(seed=seed), {name: group}, Signals({}))[name]


def test_depends_on_seed_and_group():
    assert torch.equal(score(0), score(0))
    assert not torch.equal(score(0), score(1))
    assert not torch.equal(score(0), score(0, name="conv2"))


def test_a_longer_group_starts_alike():
    assert torch.equal(score(0, size=300_000)[:100], score(0))


def test_is_uniform():
    assert stats.kstest(score(0, size=20_000).numpy(), "uniform").pvalue > 0.01


def test_seed_must_not_be_negative():
    with pytest.raises(CriterionError, match=r"Random\(seed=-1\) is negative"):
        Random(seed=-1)
