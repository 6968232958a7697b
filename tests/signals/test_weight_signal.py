import pytest
import torch
from torch import nn

from prunus.errors import CriterionError
from prunus.records import Group, Member
from prunus.signals import WEIGHT, collect
from prunus.signals.weights import is_finite


class ReadsWeights:
    needs = frozenset({WEIGHT})


def weight_group(name: str, size: int) -> dict[str, Group]:
    return {name: Group(name, "weight", size, (Member(name, None),))}


def test_weights_are_the_models_own():
    model = nn.Linear(3, 2)
    collected = collect(model, weight_group("weight", 6), [ReadsWeights()])
    assert collected.values[WEIGHT]["weight"].data_ptr() == model.weight.data_ptr()
    assert list(collected.values) == [WEIGHT]


def test_only_members_are_collected():
    collected = collect(nn.Linear(3, 2), weight_group("weight", 6), [ReadsWeights()])
    assert list(collected.values[WEIGHT]) == ["weight"]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_not_finite(bad):
    model = nn.Linear(3, 2)
    model.weight.data[1] = bad
    with pytest.raises(CriterionError, match="3 of 6 weights in parameter 'weight' are NaN"):
        collect(model, weight_group("weight", 6), [ReadsWeights()])


def test_groups_of_another_model():
    with pytest.raises(CriterionError, match=r"no parameter 'conv.weight'.*group 'conv.weight'"):
        collect(nn.Linear(3, 2), weight_group("conv.weight", 6), [ReadsWeights()])


def test_a_group_without_parameters():
    group = Group("c", "channel", 2, (Member("mean", 0, parameter=False),))
    with pytest.raises(CriterionError, match="group 'c' has nothing to score"):
        collect(nn.Linear(3, 2), {"c": group}, [ReadsWeights()])


@pytest.mark.parametrize(
    ("options", "words"),
    [({"device": "meta"}, "on the meta device"), ({"dtype": torch.complex64}, "complex64")],
)
def test_weights_that_are_no_real_numbers(options, words):
    with pytest.raises(CriterionError, match=words):
        collect(nn.Linear(3, 2, **options), weight_group("weight", 6), [ReadsWeights()])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_is_finite(dtype):
    assert is_finite(torch.zeros(0, dtype=dtype))
    assert is_finite(torch.full((3,), torch.finfo(dtype).max, dtype=dtype))
    assert not is_finite(torch.tensor([0.0, torch.nan, 1.0], dtype=dtype))
    assert not is_finite(torch.tensor([0.0, -torch.inf], dtype=dtype))
