"""Numbers by hand, and what each penalty refuses. What all share is in the contract suite."""

import math

import pytest
import torch
from torch import nn

import prunus
from prunus.errors import TrainError
from prunus.recover import compensate_bias
from prunus.train.penalties import (
    L1,
    L2,
    PENALTIES,
    ElasticNet,
    GReg1,
    GReg2,
    GroupSparse,
    HardConcrete,
    Owned,
    Slimming,
)

ROWS = torch.tensor([[0], [1]])


def units(*rows: list[float]) -> Owned:
    return Owned(nn.Parameter(torch.tensor(rows)), along=(0, ROWS))


def shrunk(penalty, part: Owned, amount: float) -> list:
    with torch.no_grad():
        penalty.shrink((part,), amount)
    return part.weight.tolist()


def normed(*, norm=True) -> nn.Sequential:
    layers = [nn.Linear(4, 6), nn.BatchNorm1d(6) if norm else nn.Identity(), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(6, 3))


def groups_of(model, *, granularity="channel"):
    return prunus.explain(model, torch.randn(2, 4), granularity=granularity).groups


# -- elastic net ------------------------------------------------------------------------------


def test_elastic_net_by_hand():
    part = units([3.0, -0.4], [1.0, -2.0])
    assert ElasticNet(mix=0.25).size((part,)).item() == pytest.approx(
        0.25 * 6.4 + 0.75 * (9 + 0.16 + 1 + 4) / 2
    )
    # |w| - 2 * 0.25, then / (1 + 2 * 0.75)
    (first, second) = shrunk(ElasticNet(mix=0.25), part, 2.0)
    assert [*first, *second] == pytest.approx([1.0, 0.0, 0.2, -0.6])


@pytest.mark.parametrize(("mix", "same"), [(1.0, L1()), (0.0, L2())])
def test_elastic_net_lies_between_l1_and_l2(mix, same):
    part, other = units([3.0, -0.5], [1.0, 0.2]), units([3.0, -0.5], [1.0, 0.2])
    assert shrunk(ElasticNet(mix=mix), part, 0.3) == shrunk(same, other, 0.3)


# -- slimming ---------------------------------------------------------------------------------


def test_slimming_by_hand():
    model = normed()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([1.0, 0.5, -0.5, 0.1, -0.1, 0.0]))
    penalty = Slimming(strength=2.0)
    assert penalty.value(model, groups_of(model)) == pytest.approx(4.4)
    before = model[0].weight.detach().clone()
    penalty.apply(model, groups_of(model), lr=0.1)
    wanted = torch.tensor([0.8, 0.3, -0.3, 0.0, 0.0, 0.0])
    torch.testing.assert_close(model[1].weight.detach(), wanted)
    assert torch.equal(model[0].weight, before)


def test_slimming_names_the_groups_without_batch_norm():
    with pytest.raises(TrainError, match=r"1 of 1 groups have no batch norm whose .*: '0'"):
        Slimming().owned(normed(norm=False), groups_of(normed(norm=False)))
    with pytest.raises(TrainError, match=r"of single weights, L1\(\)"):
        Slimming().owned(normed(), groups_of(normed(), granularity="weight"))


def test_what_slimming_leaves_is_a_constant_that_biases_take_up():
    model = normed().eval()
    nn.init.uniform_(model[1].bias, 0.1, 1.0)
    with torch.no_grad():
        model[1].weight[:3] = 0
    rows = torch.randn(32, 4)
    pruned = prunus.prune(
        model, rows, budget=prunus.Budget(units=0.5), criterion="batch_norm_scale"
    )
    assert not torch.allclose(pruned.model(rows), model(rows))
    compensate_bias(pruned.model, [rows], dense=model, plan=pruned.plan)
    torch.testing.assert_close(pruned.model(rows), model(rows))


# -- growing L2 -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [GReg1, GReg2])
def test_the_strength_rises_in_equal_steps(kind):
    penalty = kind(strength=2.0, raises=4)
    rising = [penalty.at(progress).strength for progress in (0, 0.24, 0.26, 0.5, 0.99, 1.0)]
    assert rising == [0.5, 0.5, 1.0, 1.5, 2.0, 2.0]
    assert shrunk(penalty, units([3.0, -6.0], [0.0, 1.5]), 0.5) == [[2.0, -4.0], [0.0, 1.0]]


def test_under_the_same_pull_those_shrink_least_whose_loss_is_steepest():
    """The minimum of h (w - 1)² / 2 + strength w² / 2 is at h / (h + strength)."""
    steep = torch.tensor([4.0, 1.0, 0.25])
    part = Owned(nn.Parameter(torch.ones(3)))
    penalty = GReg2(strength=1.0)
    for _ in range(2000):
        with torch.no_grad():
            part.weight.sub_(0.05 * steep * (part.weight - 1))
        penalty.step({"group": (part,)}, lr=0.05)
    wanted = steep / (steep + penalty.strength)
    torch.testing.assert_close(part.weight.detach(), wanted, atol=0.05, rtol=0)


def test_all_are_pulled_alike_at_first():
    assert [GReg2(alike=0.5).spare(progress) for progress in (0.0, 0.49, 0.5, 1.0)] == [1, 1, 0, 0]
    assert GReg1().spare(0.0) == L2().spare(0.0) == 0


# -- group sparse learning --------------------------------------------------------------------


def test_group_sparse_by_hand():
    rows, biases = units([3.0], [1.0]), units([4.0], [0.0])
    parts = (rows, biases)  # norms² 25 and 1: gamma 1 and 2 ** 4
    assert GroupSparse().size(parts).item() == pytest.approx((25 + 16 * 1) / 2)
    with torch.no_grad():
        GroupSparse().shrink(parts, 0.25)
    assert rows.weight.flatten().tolist() == pytest.approx([2.4, 0.2])
    assert biases.weight.flatten().tolist() == pytest.approx([3.2, 0.0])


def test_between_them_the_pull_goes_by_the_square():
    weight = nn.Parameter(torch.tensor([0.0, 3.0, 5.0]))
    assert GroupSparse()._gamma(weight.square()).tolist() == pytest.approx([
        16,
        2 ** (4 * 16 / 25),
        1,
    ])


def test_units_of_one_norm_are_pulled_alike():
    assert shrunk(GroupSparse(), units([2.0], [-2.0]), 1.0) == [[1.0], [-1.0]]


# -- hard concrete ----------------------------------------------------------------------------


def gate(logit):
    return (torch.sigmoid(logit) * 1.2 - 0.1).clamp(0, 1)


def test_the_gates_go_down_the_slope_of_loss_and_number_together():
    """Against autograd through a network whose weights are multiplied with gates."""
    raw, logit = torch.randn(5, 3), torch.tensor([0.5, -0.4, 1.0, 0.0, -1.0], requires_grad=True)
    inputs, strength, lr = torch.randn(8, 3), 0.3, 1e-3
    loss = (inputs @ (raw * gate(logit)[:, None]).T).square().mean()
    (loss + strength * torch.sigmoid(logit - 2 / 3 * math.log(0.1 / 1.1)).sum()).backward()

    weight = nn.Parameter(raw * gate(logit.detach())[:, None])
    part = Owned(weight, (0, torch.arange(5)[:, None]), logit_U=logit.detach().clone())
    (inputs @ weight.T).square().mean().backward()
    HardConcrete(strength=strength).step({"group": (part,)}, lr=lr)

    torch.testing.assert_close(part.logit_U, logit.detach() - lr * logit.grad, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(weight.detach(), raw * gate(part.logit_U)[:, None])


def test_a_closed_gate_stays_closed():
    part = Owned(nn.Parameter(torch.tensor([1.0, 1.0])), logit_U=torch.tensor([-3.0, 2.0]))
    part.weight.grad = torch.tensor([-100.0, 0.0])
    HardConcrete().step({"group": (part,)}, lr=1.0)
    assert part.weight[0] == 0 and part.weight[1] > 0.99


def test_start_leaves_the_weights_as_they_are():
    model = normed()
    before = [weight.detach().clone() for weight in model.parameters()]
    HardConcrete(strength=0.0).step(HardConcrete().owned(model, groups_of(model)), lr=1.0)
    assert all(map(torch.equal, model.parameters(), before))


def test_units_without_gates():
    with pytest.raises(TrainError, match=r"no gates(.|\n)*owned\(model, groups\) of HardConcrete"):
        HardConcrete().size((units([1.0], [2.0]),))


# -- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (ElasticNet, {"mix": 1.1}, r"mix must be in \[0, 1\]"),
        (GReg1, {"raises": 0}, "raises must be 1 or more"),
        (GReg2, {"alike": -0.1}, r"alike must be in \[0, 1\]"),
        (GroupSparse, {"contrast": 65.0}, r"contrast must be in \[0, 64\]"),
        (HardConcrete, {"start": 2.5}, "start is between -2.39 and 2.39"),
    ],
)
def test_settings_out_of_range(kind, settings, words):
    with pytest.raises(TrainError, match=rf"cannot be used(.|\n)*{words}"):
        kind(**settings)


def test_names():
    assert list(PENALTIES) == sorted(PENALTIES)
