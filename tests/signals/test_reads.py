"""Which operator reads which weight is seen below modules: however the user's code multiplies."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from prunus.cost.measured import LiveStorages
from prunus.errors import CriterionError, DataError
from prunus.records import Group, Member
from prunus.signals import INPUT, INPUT_SQUARE, OUTPUT, collect


class Reads:
    needs = frozenset({INPUT_SQUARE, INPUT, OUTPUT})


def of_weight(forward, *shape, data, numbered=False):
    """Return the signals of one weight that `forward(inputs, weight)` reads."""
    model = nn.Module()
    model.weight = nn.Parameter(torch.randn(shape))
    model.forward = lambda inputs: forward(inputs, model.weight)
    groups = {"weight": Group("weight", "weight", model.weight.numel(), (Member("weight", None),))}
    values = collect(model, groups, [Reads()], data=[(batch, None) for batch in data]).values
    found = {signal: values[signal]["weight"] for signal in Reads.needs}
    return found if numbered else found[INPUT_SQUARE]


@pytest.mark.parametrize(
    "forward",
    [
        functional.linear,
        lambda x, w: x @ w.T,
        lambda x, w: torch.einsum("...i,oi->...o", x, w),
        lambda x, w: (w @ x.mT).mT,
        lambda x, w: torch.cat([x @ part.T for part in w.chunk(2)], dim=-1),
        lambda x, w: torch.cat([functional.linear(x, row[None]) for row in w.unbind()], dim=-1),
        lambda x, w: x[..., :2] @ w[:, :2].T + x[..., 2:] @ w[:, 2:].T,
        lambda x, w: functional.linear(x.double(), w.double()).float(),
        lambda x, w: functional.conv1d(x.reshape(-1, 3, 1), w[:, :, None]),
    ],
)
@pytest.mark.parametrize("shape", [(8, 3), (2, 4, 3)])
def test_however_a_weight_is_multiplied(forward, shape):
    inputs = torch.randn(shape)
    expected = inputs.reshape(-1, 3).square().mean(dim=0).expand(4, 3)
    torch.testing.assert_close(of_weight(forward, 4, 3, data=[inputs]), expected)


def test_a_weight_that_makes_its_outputs_along_dim_1():
    inputs = torch.randn(8, 3)
    found = of_weight(lambda x, w: x @ w, 3, 4, data=[inputs], numbered=True)
    mean_square_I1 = inputs.square().mean(dim=0)[:, None]
    torch.testing.assert_close(found[INPUT_SQUARE], mean_square_I1.expand(3, 4))
    assert found[INPUT].tolist() == [[row] * 4 for row in range(3)]
    assert found[OUTPUT].tolist() == [[0, 1, 2, 3]] * 3


def test_a_vector_times_a_matrix():
    inputs = torch.tensor([1.0, 2.0, 3.0])
    expected = torch.tensor([[1.0, 4.0, 9.0]]).expand(2, 3)
    assert torch.equal(of_weight(lambda x, w: w @ x, 2, 3, data=[inputs]), expected)


def test_one_matrix_for_each_head():
    """Two experts, each with an input of its own."""
    inputs = torch.randn(2, 8, 3)
    found = of_weight(torch.bmm, 2, 3, 4, data=[inputs], numbered=True)
    expected = inputs.square().mean(dim=1)[:, :, None].expand(2, 3, 4)
    torch.testing.assert_close(found[INPUT_SQUARE], expected)
    assert found[OUTPUT].unique().numel() == 8
    assert found[INPUT].unique().numel() == 6


def test_a_shared_weight_has_the_mean_over_all_its_uses():
    first, second = torch.randn(4, 3), torch.randn(4, 3)
    twice = of_weight(
        lambda x, w: functional.linear(x[0], w) + functional.linear(x[1], w),
        5, 3, data=[torch.stack([first, second])],
    )  # fmt: skip
    torch.testing.assert_close(twice[0], torch.cat([first, second]).square().mean(dim=0))


def test_a_tied_weight_is_seen_under_its_first_name():
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.ReLU(), nn.Linear(3, 3, bias=False))
    model[2].weight = model[0].weight
    groups = {"0.weight": Group("0.weight", "weight", 9, (Member("0.weight", None),))}
    inputs = torch.randn(4, 3)
    found = collect(model, groups, [Reads()], data=[(inputs, None)]).values[INPUT_SQUARE]
    hidden = model[:2](inputs).detach()
    both = torch.cat([inputs, hidden]).square().mean(dim=0)
    torch.testing.assert_close(found["0.weight"], both.expand(3, 3))


def test_under_autocast():
    inputs = torch.randn(8, 3)

    def forward(x, w):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return functional.linear(functional.linear(x, w), w)

    found = of_weight(forward, 3, 3, data=[inputs])
    assert found.dtype == torch.float32
    assert (found > 0).all()


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_nets(kind):
    model = kind(3, 4, batch_first=True)
    name = "weight_ih_l0"
    groups = {name: Group(name, "weight", model.weight_ih_l0.numel(), (Member(name, None),))}
    inputs = torch.randn(5, 7, 3)
    found = collect(model, groups, [Reads()], data=[(inputs, None)]).values[INPUT_SQUARE][name]
    torch.testing.assert_close(found[0], inputs.square().mean(dim=(0, 1)))


def test_the_fused_path_of_an_encoder_is_seen_through():
    model = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    name = "linear1.weight"
    groups = {name: Group(name, "weight", 32, (Member(name, None),))}
    found = collect(model, groups, [Reads()], data=[(torch.randn(2, 3, 4), None)]).values
    assert (found[INPUT_SQUARE][name] > 0).all()


def test_a_weight_worked_out_in_forward_is_an_error():
    with pytest.raises(CriterionError, match="'weight' is never multiplied with an input"):
        of_weight(lambda x, w: x @ (w * 2).T, 4, 3, data=[torch.randn(8, 3)])


def test_inputs_that_overflow():
    with pytest.raises(DataError, match="'weight' reads numbers that are not finite"):
        of_weight(lambda x, w: (x * 1e39) @ w.T, 4, 3, data=[torch.ones(8, 3)])


def test_the_model_is_left_as_it_was(chain):
    class Writes(nn.Module):
        def __init__(self):
            super().__init__()
            self.chain, self.seen = chain.model, []

        def forward(self, x):
            self.seen.append(len(x))
            self.chain[1].running_mean += 1
            return self.chain(x)

    model = Writes().train()
    model.chain[0].weight.requires_grad_(False)
    before = copy.deepcopy(model)
    name = "chain.0.weight"
    groups = {name: Group(name, "weight", 108, (Member(name, None),))}
    collect(model, groups, [Reads()], data=chain.data)
    assert model.seen == []
    assert all(module.training for module in model.modules())
    assert all(not module._forward_pre_hooks for module in model.modules())
    for (name, now), then in zip(
        model.state_dict().items(), before.state_dict().values(), strict=True
    ):
        assert torch.equal(now, then), name
    assert [p.requires_grad for p in model.parameters()] == [
        p.requires_grad for p in before.parameters()
    ]


def test_random_generators_and_grad_mode_are_left_alone(chain):
    model = nn.Sequential(chain.model[0], nn.Dropout())
    groups = {"0.weight": Group("0.weight", "weight", 108, (Member("0.weight", None),))}
    before = torch.get_rng_state()
    collect(model, groups, [Reads()], data=chain.data)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.is_grad_enabled()
    assert torch.backends.mha.get_fastpath_enabled()


def test_fewer_batches_and_progress(chain):
    groups = {"0.weight": Group("0.weight", "weight", 108, (Member("0.weight", None),))}
    told = []
    collect(
        chain.model, groups, [Reads()], data=chain.data, batches=2,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(1, 2), (2, 2)]


def test_activations_die_with_the_operator_that_read_them():
    """Memory is that of a plain run: nothing that was seen is kept."""
    model = nn.Sequential(*[nn.Linear(64, 64, bias=False) for _ in range(20)])
    groups = {"0.weight": Group("0.weight", "weight", 4096, (Member("0.weight", None),))}
    live = LiveStorages()
    with live:
        collect(model, groups, [Reads()], data=[(torch.randn(1000, 64), None)])
    assert live.peak < 8 * 4 * 64 * 1000  # eight activations, not twenty
