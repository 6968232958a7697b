"""Slots and blocks from `prune` to training and file."""

import pytest
import torch
from torch import nn
from torch.sparse._semi_structured_conversions import (
    sparse_semi_structured_from_dense_cutlass as compressed,
)
from torch.sparse._semi_structured_conversions import (
    sparse_semi_structured_to_dense_cutlass as restored,
)

import prunus
from prunus.criteria import names
from prunus.errors import BudgetError, CriterionError

ROWS = torch.randn(8, 64)
DATA = [(ROWS, torch.randint(4, (8,))), (ROWS + 1, torch.randint(4, (8,)))]


def network():
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32))


def images():
    return nn.Sequential(nn.Conv2d(16, 32, 2), nn.ReLU(), nn.Conv2d(32, 32, 2))


def zeros_of(tensor, rows, columns):
    """Zeros of a matrix in tiles, (T, F)."""
    outputs, inputs = tensor.shape[0] // rows, tensor.shape[1] // columns
    tiles = (tensor == 0).reshape(outputs, rows, inputs, columns).transpose(1, 2)
    return tiles.reshape(-1, rows * columns)


def test_torch_can_compress_what_2_4_leaves():
    for model, inputs in ((network(), ROWS), (images(), torch.randn(1, 16, 9, 9))):
        pruned = prunus.prune(model, inputs, granularity="2:4").model
        for layer in (pruned[0], pruned[2]):
            matrix = layer.weight.detach().movedim(1, -1).flatten(1).half()
            assert torch.equal(restored(*compressed(matrix)), matrix)


def test_torch_cannot_compress_what_another_axis_leaves():
    pruned = prunus.prune(network(), ROWS, granularity="2x1", budget=prunus.Budget(units=0.5))
    matrix = pruned.model[0].weight.detach().half()
    try:
        assert not torch.equal(restored(*compressed(matrix)), matrix)
    except RuntimeError as error:
        assert "pattern" in str(error)


SETTINGS = {"data": DATA, "loss": nn.CrossEntropyLoss()}


@pytest.mark.parametrize("criterion", names())
def test_every_criterion_of_weights_serves(criterion):
    settings = {**SETTINGS, "criterion": criterion, "budget": prunus.Budget(units=0.5)}
    try:
        prunus.prune(network(), ROWS, granularity="weight", **settings)
    except CriterionError:
        pytest.skip("is for whole units")
    for granularity, (rows, columns) in {"4x1": (4, 1), "2x8": (2, 8)}.items():
        pruned = prunus.prune(network(), ROWS, granularity=granularity, **settings)
        zeros = zeros_of(pruned.model[0].weight, rows, columns)
        assert (zeros.all(1) | ~zeros.any(1)).all() and zeros.any()
        assert pruned.report.after.nonzero == pruned.report.before.nonzero - 64 * 48
    pruned = prunus.prune(network(), ROWS, granularity="2:4", **settings)
    assert (zeros_of(pruned.model[0].weight, 1, 4).sum(1) == 2).all()


def test_blocks_meet_a_budget_to_within_one_block():
    pruned = prunus.prune(network(), ROWS, granularity="4x1", budget=prunus.Budget(sparsity=0.6))
    before, after = pruned.report.before, pruned.report.after
    assert 0.4 * before.params - 4 < after.nonzero <= 0.4 * before.params
    assert pruned.plan.granularity == "4x1"


def test_zeros_in_blocks_hold_through_training():
    pruned = prunus.prune(network(), ROWS, granularity="4x1", budget=prunus.Budget(units=0.3))
    zeros = [pruned.model[i].weight == 0 for i in (0, 2)]
    optimizer = torch.optim.AdamW(pruned.model.parameters(), lr=0.1)
    prunus.Masked(pruned.model, pruned.plan).hold(optimizer)
    pruned.model(ROWS).square().mean().backward()
    optimizer.step()
    assert [
        torch.equal(pruned.model[i].weight == 0, zero)
        for i, zero in zip((0, 2), zeros, strict=True)
    ] == [True, True]


def test_a_saved_model_has_its_slots(tmp_path):
    pruned = prunus.prune(network(), ROWS, granularity="2:4")
    prunus.save(pruned, tmp_path / "sparse")
    loaded = prunus.load(tmp_path / "sparse", model=network())
    assert torch.equal(loaded[2].weight, pruned.model[2].weight)
    assert pruned.report.provenance["granularity"] == "2:4"


def test_slots_may_go_without_a_budget_and_others_may_not():
    assert prunus.prune(network(), ROWS, granularity="n:m", budget=prunus.Budget(units=0.5))
    with pytest.raises(BudgetError, match="there is no budget"):
        prunus.prune(network(), ROWS, granularity="4x1")
    with pytest.raises(BudgetError, match="the slots leave"):
        prunus.prune(network(), ROWS, granularity="2:4", budget=prunus.Budget(sparsity=0.5))
