import pytest
import torch

from prunus.criteria import Gradient, Magnitude, Shuffled
from prunus.errors import CriterionError
from prunus.signals import GRADIENT, WEIGHT, group_of

WEIGHTS = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))


def score(seed: int, name: str = "conv1") -> torch.Tensor:
    return Shuffled(seed=seed)(group_of(name, {WEIGHT: WEIGHTS}))


def test_keeps_the_scores_of_a_group():
    magnitude_U = Magnitude()(group_of("conv1", {WEIGHT: WEIGHTS}))
    assert torch.equal(score(0).sort().values, magnitude_U.sort().values)
    assert abs(torch.corrcoef(torch.stack([score(0), magnitude_U]))[0, 1]) < 0.3


def test_depends_on_seed_and_group():
    assert torch.equal(score(0), score(0))
    assert not torch.equal(score(0), score(1))
    assert not torch.equal(score(0), score(0, "conv2"))


def test_shuffles_any_criterion():
    fc = group_of("fc", {GRADIENT: torch.tensor([[1.0], [-2.0]])})
    assert sorted(Shuffled(of=Gradient())(fc).tolist()) == [1, 2]


def test_seed_must_not_be_negative():
    with pytest.raises(CriterionError, match=r"Shuffled\(seed=-1\) is negative"):
        Shuffled(seed=-1)
