import pytest
import torch
from torch import nn

from prunus.criteria import Fisher
from prunus.errors import DataError
from prunus.records import Group, Member
from prunus.signals import SAMPLE_GRADIENT_SQUARE, collect

GROUPS = {"weight": Group("weight", "weight", 4, (Member("weight", None),))}


def squares(data, **options) -> torch.Tensor:
    model = nn.Linear(4, 1, bias=False)
    signals = collect(
        model, GROUPS, [Fisher()], data=data, loss=lambda outputs, _: outputs.mean(), **options
    )
    return signals.values[SAMPLE_GRADIENT_SQUARE]["weight"]


def test_opposite_items_do_not_cancel():
    """The gradient of each item is its input; their mean over the batch is 0."""
    inputs = torch.tensor([[1.0, 0.0, 2.0, 0.0], [-1.0, 0.0, -2.0, 0.0]])
    assert squares([(inputs, None)]).tolist() == [[1, 0, 4, 0]]


def test_batches_are_batches_and_progress_counts_items():
    seen = []
    data = [(torch.ones(3, 4), None), (torch.zeros(5, 4), None)]
    counted = squares(data, batches=1, progress=lambda done, total: seen.append((done, total)))
    assert counted.tolist() == [[1, 1, 1, 1]]
    assert seen == [(1, None), (2, None), (3, None)]


def test_a_batch_without_items_is_refused():
    with pytest.raises(DataError, match=r"batch 1 cannot be split .* shapes \(3, 4\), \(2,\)"):
        squares([(torch.ones(3, 4), torch.ones(2))])
