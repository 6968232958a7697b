import pytest
import torch
from torch import nn

from prunus.cost import count
from prunus.cost.counted import memory_of, stored_tensors, transient_buffers
from prunus.errors import PruneError


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("scale", torch.ones(3, dtype=torch.float64))
        self.register_buffer("angles", torch.ones(100), persistent=False)


def test_by_hand():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))

    cost = count(model, macs=6)

    assert cost.params == 3 * 2 + 2 + 2 + 2
    assert cost.bytes == cost.params * 4 + 2 * 2 * 4 + 8
    assert cost.macs == 6


def test_tied_tensors_count_once_and_transient_buffers_not_at_all():
    cost = count(Tied(), macs=0)

    assert (cost.params, cost.bytes) == (40, 40 * 4 + 3 * 8)


def test_parameters_that_share_memory_without_being_one_object_count_once():
    model = Tied()
    model.head.weight = nn.Parameter(model.embed.weight.data)

    assert count(model, macs=0).params == 40


def test_nonzero_counts_weights_not_tensors():
    model = Tied().bfloat16()
    with torch.no_grad():
        model.embed.weight[:3] = 0

    assert count(model, macs=0).nonzero == 7 * 4


def test_a_model_on_the_meta_device_has_no_zeros_to_count():
    with pytest.raises(PruneError, match="on the meta device"):
        count(nn.Linear(2, 2, device="meta"), macs=0)


def test_stored_tensors_are_those_of_the_state_dict():
    model = nn.ModuleDict({"a": Tied(), "b": nn.BatchNorm1d(4)})

    assert stored_tensors(model).keys() == model.state_dict().keys()
    assert transient_buffers(model) == {"a.angles"}


def test_memory_tells_tensors_apart_that_start_at_the_same_place():
    whole = torch.zeros(4, 4)

    assert memory_of(whole) == memory_of(whole.detach()) == memory_of(whole.view(4, 4))
    assert len({memory_of(whole), memory_of(whole[:2]), memory_of(whole.T[:, :])}) == 3
