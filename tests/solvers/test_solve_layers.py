"""A solver over whole models."""

import pytest
import torch
from torch import Tensor, nn

from prunus import Masked
from prunus.errors import DataError, PlanError
from prunus.solvers import Solution, SparseGPT, solve_layers
from prunus.solvers.layers import _as_matrices, _reads

CONVOLUTIONS = [
    (nn.Conv1d(4, 6, 3, padding=1, groups=2), (2, 4, 9)),
    (nn.Conv2d(4, 6, (3, 2), stride=(2, 1), dilation=(1, 2), padding=(1, 0)), (2, 4, 9, 8)),
    (nn.Conv2d(4, 4, 3, padding="same", padding_mode="reflect", groups=4), (2, 4, 6, 6)),
    (nn.Conv3d(2, 4, 2, groups=2), (2, 2, 4, 4, 4)),
    (nn.Conv2d(4, 6, 3), (4, 9, 8)),
]


@pytest.mark.parametrize(("layer", "shape"), CONVOLUTIONS)
def test_a_convolution_is_a_product_of_what_it_reads(
    layer: nn.Conv2d, shape: tuple[int, ...]
) -> None:
    inputs = torch.randn(shape)
    product_GNO = _reads(layer, inputs) @ _as_matrices(layer).mT
    product_NO = product_GNO.movedim(0, 1).flatten(1) + layer.bias
    channel = 1 if inputs.dim() == layer.weight.dim() else 0
    wanted_NO = layer(inputs).movedim(channel, -1).flatten(0, -2)
    torch.testing.assert_close(product_NO, wanted_NO)


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2), nn.Flatten(), nn.Linear(32, 3)
    )


def batches() -> list[tuple[Tensor, None]]:
    return [(torch.randn(16, 4, 6, 6), None) for _ in range(2)]


def test_two_of_four_channels_at_every_kernel_position() -> None:
    model = network()
    pruned, plan = solve_layers(model, SparseGPT(pattern="2:4"), data=batches())
    for index in (0, 2):
        kept = (pruned[index].weight != 0).unflatten(1, (-1, 4)).sum(2)
        assert (kept == 2).all()
    assert plan.counts == {"0.weight": 144, "2.weight": 144, "4.weight": 48}
    assert (model[0].weight != 0).all()


def test_better_than_magnitude_in_the_output() -> None:
    smooth = nn.functional.interpolate(torch.randn(64, 4, 2, 2), size=6, mode="bilinear")
    model, data = network(), [(smooth, None)]
    pruned, _ = solve_layers(model, SparseGPT(sparsity=0.5), data=data)
    wanted = model(data[0][0])
    found = (pruned(data[0][0]) - wanted).square().mean()
    for index in (0, 2, 4):
        weight = model[index].weight.data
        weight *= weight.abs() > weight.abs().median()
    assert found < 0.7 * (model(data[0][0]) - wanted).square().mean()


def test_the_plan_holds_the_zeros_in_training() -> None:
    data = batches()
    pruned, plan = solve_layers(network(), SparseGPT(sparsity=0.5), data=data)
    optimizer = torch.optim.SGD(pruned.parameters(), lr=0.1, momentum=0.9)
    Masked(pruned, plan).hold(optimizer)
    pruned(data[0][0]).square().mean().backward()
    optimizer.step()
    assert int((pruned[0].weight != 0).sum()) == plan.counts["0.weight"] == 144


def test_later_layers_read_what_pruned_ones_give() -> None:
    class Zero:
        def __init__(self) -> None:
            self.seen: list[float] = []

        def refuses(self, channels: int) -> str | None:
            return None

        def solve(self, weight_OI: Tensor, hessian_II: Tensor) -> Solution:
            self.seen.append(float(hessian_II.sum()))
            return Solution(torch.zeros_like(weight_OI).bool(), torch.zeros_like(weight_OI))

    solver = Zero()
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4))
    solve_layers(model, solver, data=[(torch.ones(2, 4), None)])
    assert solver.seen == [16.0, 0.0]


def test_what_stays_dense_says_why() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8))
    model[2].weight = model[1].weight
    data = [(torch.randn(64, 6), None)]
    assert solve_layers(model, SparseGPT(pattern="2:4"), data=data)[1].provenance["dense"] == {
        "0": "6 input channels are not a multiple of 4",
        "1": "its weight is shared with another module",
        "2": "its weight is shared with another module",
    }
    plan = solve_layers(model, SparseGPT(sparsity=0.5), data=data, exclude=["0"])[1]
    assert plan.provenance["dense"]["0"] == "excluded"


def test_errors_come_before_anything_is_changed() -> None:
    model, solver = nn.Linear(4, 4), SparseGPT(sparsity=0.5)
    before = model.weight.clone()
    with pytest.raises(DataError, match="yield no batch"):
        solve_layers(model, solver, data=[], in_place=True)
    with pytest.raises(DataError, match="not finite"):
        nan = torch.full((2, 4), torch.nan)
        solve_layers(model, solver, data=[(nan, None)], in_place=True)
    with pytest.raises(PlanError, match="no layer matches 'head'"):
        solve_layers(model, solver, data=[], exclude=["head"])
    with pytest.raises(PlanError, match="no layer can be pruned"):
        solve_layers(nn.ReLU(), solver, data=[])
    assert torch.equal(model.weight, before)


def test_data_that_cannot_be_read_again() -> None:
    once = iter([(torch.randn(8, 4), None)])
    with pytest.raises(DataError, match="already read to its end"):
        solve_layers(nn.Linear(4, 4), SparseGPT(sparsity=0.5), data=once)
