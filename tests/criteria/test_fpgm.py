import pytest
import torch
from scipy.spatial.distance import cdist

from prunus.criteria import FPGM
from prunus.errors import CriterionError
from prunus.signals import WEIGHT, group_of


def test_equals_scipy():
    members = [torch.randn(20, 7), torch.randn(20, 1)]
    weight_UF = torch.cat(members, dim=1)
    expected = torch.from_numpy(cdist(weight_UF, weight_UF).sum(axis=1)).float()
    torch.testing.assert_close(FPGM()(group_of("conv", {WEIGHT: members})), expected)


def test_twins_go_before_small_units():
    """Magnitude would remove the small one, which has no like."""
    weight_UF = torch.tensor([[9.0, 9.0], [9.0, 9.0], [9.0, 9.1], [0.1, 0.0]])
    assert FPGM()(group_of("conv", {WEIGHT: weight_UF})).argmax() == 3


def test_large_twins_have_distance_zero():
    twins_UF = torch.full((40, 30), 1000.3)
    assert FPGM()(group_of("conv", {WEIGHT: twins_UF})).tolist() == [0] * 40


def test_single_weights_are_refused():
    group = group_of("fc.weight", {WEIGHT: torch.ones(3, 1)}, granularity="weight")
    with pytest.raises(CriterionError, match="cannot score the single weights of 'fc"):
        FPGM()(group)
