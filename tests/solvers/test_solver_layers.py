"""A solver over whole models: what layers read, in which order, and what becomes of them."""

import pytest
import torch
from torch import Tensor, nn

from prunus.errors import DataError
from prunus.records import Kept
from prunus.solvers import Goal, Solution, Solver, SparseGPT, solvable, solve
from prunus.solvers.matrices import as_matrices, as_weight, read_by
from prunus.solvers.reading import read, stages

CONVOLUTIONS = [
    (nn.Conv1d(4, 6, 3, padding=1, groups=2), (2, 4, 9)),
    (nn.Conv2d(4, 6, (3, 2), stride=(2, 1), dilation=(1, 2), padding=(1, 0)), (2, 4, 9, 8)),
    (nn.Conv2d(4, 4, 3, padding="same", padding_mode="reflect", groups=4), (2, 4, 6, 6)),
    (nn.Conv3d(2, 4, 2, groups=2), (2, 2, 4, 4, 4)),
    (nn.Conv2d(4, 6, 3), (4, 9, 8)),
]


@pytest.mark.parametrize(("layer", "shape"), CONVOLUTIONS)
def test_a_convolution_is_a_product_of_what_it_reads(layer, shape):
    inputs = torch.randn(shape)
    product_GNO = read_by(layer, inputs) @ as_matrices(layer).mT
    product_NO = product_GNO.movedim(0, 1).flatten(1) + layer.bias
    channel = 1 if inputs.dim() == layer.weight.dim() else 0
    wanted_NO = layer(inputs).movedim(channel, -1).flatten(0, -2)
    torch.testing.assert_close(product_NO, wanted_NO)
    assert torch.equal(as_weight(layer, as_matrices(layer)), layer.weight)


class Attention(nn.Module):
    """Three layers read one tensor, a fourth what comes of it."""

    def __init__(self):
        super().__init__()
        self.output = nn.Linear(8, 8)
        self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))

    def forward(self, x):
        attention = (self.query(x) @ self.key(x).mT).softmax(-1)
        return self.output(attention @ self.value(input=x))


def layers_of(model):
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}


def batches(*shape):
    return [(torch.randn(shape), None) for _ in range(2)]


def goals(model, inputs, share=0.5, slots=None):
    numel = {name: layer.weight.numel() for name, layer in solvable(model, inputs).items()}
    return {name: Goal(int(share * size), slots) for name, size in numel.items()}


def test_layers_that_read_the_same_tensor_share_a_stage():
    model, rows = Attention(), torch.randn(2, 5, 8)
    names = [stage.names for stage in stages(model, rows, layers_of(model))]
    assert names == [("query", "key", "value"), ("output",)]


def test_a_tensor_written_in_between_is_another():
    class Writes(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            x = x.clone()
            y = self.a(x)
            x += 1
            return y + self.b(x)

    model = Writes()
    found = stages(model, torch.randn(2, 4), layers_of(model))
    assert [stage.names for stage in found] == [("a",), ("b",)]


def test_a_run_ends_where_all_have_been_read():
    model, seen = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)), []
    model[2].register_forward_hook(lambda *_: seen.append("end"))
    data = batches(3, 4)
    read(model, {"1": model[1]}, data, lambda name, x: seen.append(len(x)), once=True)
    assert seen == [3, 3]


def test_a_layer_that_runs_twice_is_read_twice():
    model, seen = nn.Sequential(nn.Linear(4, 4)), []
    model.append(model[0])
    (stage,) = stages(model, torch.randn(3, 4), {"0": model[0]})
    read(model, {"0": model[0]}, batches(3, 4), lambda *_: seen.append(1), once=stage.once)
    assert len(seen) == 4


class Zero(Solver):
    """Removes all, and notes the sum of the Hessians."""

    def __init__(self):
        self.seen = []

    def solve(self, weight_OI, hessian_II, goal):
        self.seen.append(float(hessian_II.sum()))
        mask_OI = torch.zeros_like(weight_OI, dtype=torch.bool)
        return Solution(mask_OI, torch.zeros_like(weight_OI))


def test_later_layers_read_what_pruned_ones_give():
    solver, rows = Zero(), torch.ones(2, 4)
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4))
    solve(model, solver, goals(model, rows, 0), inputs=rows, data=[(rows, None)])
    assert solver.seen == [16.0, 0.0]


class PassesOver(list):
    """Data that count how often they are read."""

    passes = 0

    def __iter__(self):
        self.passes += 1
        return super().__iter__()


def test_a_pass_over_the_data_for_each_stage():
    model, data = Attention(), PassesOver(batches(2, 5, 8))
    solve(model, SparseGPT(), goals(model, data[0][0]), inputs=data[0][0], data=data)
    assert data.passes == 2


def test_a_stage_is_solved_as_its_layers_alone_are():
    model, alone, rows = Attention(), Attention(), torch.randn(4, 5, 8)
    alone.load_state_dict(model.state_dict())
    wanted = goals(model, rows)
    solve(model, SparseGPT(), wanted, inputs=rows, data=[rows])
    one = {"key.weight": wanted["key.weight"]}
    solve(alone, SparseGPT(), one, inputs=rows, data=[rows])
    assert torch.equal(model.key.weight, alone.key.weight)


def network():
    return nn.Sequential(
        nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2), nn.Flatten(), nn.Linear(32, 3)
    )


def test_two_of_four_channels_at_every_kernel_position():
    model, data = network(), batches(16, 4, 6, 6)
    images = data[0][0]
    kept = solve(model, SparseGPT(), goals(model, images, slots=(2, 4)), inputs=images, data=data)
    for index in (0, 2):
        slots = (model[index].weight != 0).unflatten(1, (-1, 4)).sum(2)
        assert (slots == 2).all()
    assert {name: one.count for name, one in kept.items()} == {
        "0.weight": 144,
        "2.weight": 144,
        "4.weight": 48,
    }


def test_masks_say_where_the_weights_are():
    model, data = network(), batches(16, 4, 6, 6)
    images = data[0][0]
    kept = solve(model, SparseGPT(), goals(model, images, 0.3), inputs=images, data=data)
    for name, one in kept.items():
        assert isinstance(one, Kept)
        assert torch.equal(one.mask(), model.get_parameter(name).flatten() != 0)


def test_better_than_magnitude_in_the_output():
    images = nn.functional.interpolate(torch.randn(64, 4, 2, 2), size=6, mode="bilinear")
    dense, solved, cut = network(), network(), network()
    for model in (solved, cut):
        model.load_state_dict(dense.state_dict())
    solve(solved, SparseGPT(), goals(solved, images), inputs=images, data=[images])
    for index in (0, 2, 4):
        weight = cut[index].weight.data
        weight *= weight.abs() > weight.abs().median()

    def lost(model: nn.Module) -> Tensor:
        return (model(images) - dense(images)).square().mean()

    assert lost(solved) < 0.7 * lost(cut)


def test_what_can_be_solved():
    tied = nn.Linear(8, 8)
    model = nn.Sequential(nn.Linear(6, 8), tied, nn.Linear(8, 8), nn.Embedding(3, 3), nn.PReLU())
    model[2].weight = tied.weight
    model[3] = nn.Identity()
    model.aside = nn.Identity()
    assert list(solvable(model, torch.randn(2, 6))) == ["0.weight"]


def test_data_that_cannot_be_used():
    model, rows = nn.Linear(4, 4), torch.randn(8, 4)
    wanted = goals(model, rows)
    with pytest.raises(DataError, match="yield no batch"):
        solve(model, SparseGPT(), wanted, inputs=rows, data=[])
    with pytest.raises(DataError, match="not finite"):
        solve(model, SparseGPT(), wanted, inputs=rows, data=[(rows * torch.nan, None)])


def test_a_layer_that_the_data_do_not_reach():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.b(self.a(x)) if len(x) > 2 else self.a(x)

    model, rows = Branches(), torch.randn(3, 4)
    with pytest.raises(DataError, match="'b' reads nothing on the data"):
        solve(model, SparseGPT(), goals(model, rows), inputs=rows, data=[rows[:2]])
