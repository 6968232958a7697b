"""What every penalty must pass. They are found by themselves: a new one needs no line here.

Legend: U units of a group.
"""

import copy
import importlib
import pkgutil
import re
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from prunus.errors import TrainError
from prunus.extents import Leaf, Product, Sum
from prunus.records import Group, Member
from prunus.train import penalties
from prunus.train.penalties import PENALTIES, Parts, Penalty, Slimming, norms_of, sum_over

UNITS = 6
AMOUNT = 0.05  # learning rate times strength
LR = 0.1

PENALISED = {name: kind(strength=AMOUNT / LR) for name, kind in PENALTIES.items()}
ACTS_ON = {Slimming: {"norm.weight"}}  # all others act on everything
each_penalty = pytest.mark.parametrize("penalty", PENALISED.values(), ids=PENALISED)


class Coupled(nn.Module):
    """Six units with a row, a bias, a scale, columns behind a flatten and a place in a sum."""

    def __init__(self):
        super().__init__()
        self.row = nn.Parameter(torch.randn(UNITS, 3, 2))
        self.bias = nn.Parameter(torch.randn(UNITS))
        self.column = nn.Parameter(torch.randn(5, UNITS * 4))
        self.place = nn.Parameter(torch.randn(2 + UNITS))
        self.norm = nn.BatchNorm1d(UNITS)
        nn.init.normal_(self.norm.weight)
        self.register_buffer("mean", torch.randn(UNITS))


LEAF = Leaf(UNITS, "c")
MEMBERS = (
    Member("row", 0, LEAF),
    Member("bias", 0, LEAF),
    Member("column", 1, Product((LEAF, Leaf(4)))),
    Member("place", 0, Sum((Leaf(2), LEAF))),
    Member("norm.weight", 0, LEAF),
    Member("mean", 0, LEAF, parameter=False),
)
CHANNELS = {"c": Group("c", "channel", UNITS, MEMBERS)}
WEIGHTS = {
    name: Group(name, "weight", size, (Member(name, None),))
    for name, size in (("row", 36), ("column", 120))
}
LEVELS = {"channel": CHANNELS, "weight": WEIGHTS}
each_penalty_at_its_levels = pytest.mark.parametrize(
    ("penalty", "groups"),
    [
        pytest.param(penalty, groups, id=f"{name}-{level}")
        for name, penalty in PENALISED.items()
        for level, groups in LEVELS.items()
        if not (isinstance(penalty, Slimming) and level == "weight")  # weights have no scales
    ],
)


def norms(owned) -> Tensor:
    return torch.cat([norms_of(parts) for parts in owned.values()]).detach()


def stepped(penalty: Penalty, groups, model: nn.Module | None = None, *, lr: float = LR):
    """Return a copy after one step, and what the penalty acts on there."""
    after = copy.deepcopy(model or Coupled())
    owned = penalty.owned(after, groups)
    penalty.step(owned, lr=lr)
    return after, owned


# -- the contract -----------------------------------------------------------------------------


def check_zero_strength_changes_nothing(penalty, groups):
    model, off = Coupled(), replace(penalty, strength=0.0)
    after, owned = stepped(off, groups, model)
    for name, value in model.state_dict().items():
        assert torch.equal(after.state_dict()[name], value), name
    assert off.total(owned) == 0


def check_no_weight_grows_or_changes_its_sign(penalty, groups):
    model = Coupled()
    for lr in (LR, 100 * LR):
        after, _ = stepped(penalty, groups, model, lr=lr)
        for name, weight in model.named_parameters():
            new = after.get_parameter(name)
            assert (new.abs() <= weight.abs()).all(), name
            assert (new * weight >= 0).all(), name


def check_the_value_falls(penalty, groups):
    model = Coupled()
    before = penalty.total(penalty.owned(model, groups))
    assert 0 < penalty.total(stepped(penalty, groups, model)[1]) < before


def check_larger_units_stay_larger(penalty, groups):
    model, factor_U = Coupled(), torch.arange(1.0, 7)
    with torch.no_grad():  # each unit is the first one times a factor of its own
        for weight in (model.row, model.bias, model.place[2:], model.norm.weight):
            weight.copy_(weight[0] * factor_U.view(-1, *[1] * (weight.dim() - 1)))
        column = model.column.view(5, UNITS, 4)
        column.copy_(column[:, :1] * factor_U.view(1, -1, 1))
    for lr in (LR, 10 * LR):
        _, owned = stepped(penalty, groups, model, lr=lr)
        for name, parts in penalty.owned(model, groups).items():
            order = norms_of(parts).argsort()
            assert (norms_of(owned[name])[order].diff() >= 0).all(), name


def check_acts_on_every_member_and_on_nothing_else(penalty, groups):
    model = Coupled()
    after, _ = stepped(penalty, CHANNELS, model)
    everything = {"row", "bias", "column", "place", "norm.weight"}
    changed = {
        name
        for name, weight in model.named_parameters()
        if not torch.equal(weight, after.get_parameter(name))
    }
    assert changed == ACTS_ON.get(type(penalty), everything)
    assert torch.equal(model.place[:2], after.place[:2])
    assert torch.equal(model.mean, after.mean)


def check_empty_units_stay_empty(penalty, groups):
    model = Coupled()
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    after, _ = stepped(penalty, groups, model)
    assert all((weight == 0).all() for weight in after.parameters())


def check_emphasis_scales_the_strength_unit_by_unit(penalty, groups):
    model = Coupled()
    plain, strong = (
        norms(stepped(replace(penalty, strength=strength), groups, model)[1])
        for strength in (penalty.strength, 2 * penalty.strength)
    )
    owned = penalty.owned(model, groups)
    even = {name: torch.arange(groups[name].size) % 2 for name in owned}
    penalty.step(owned, lr=LR, emphasis={name: 1.0 + even_U for name, even_U in even.items()})
    expected = torch.where(torch.cat(list(even.values())) == 1, strong, plain)
    torch.testing.assert_close(norms(owned), expected)


def check_a_small_step_goes_down_the_slope_of_the_value(penalty, groups):
    """Against autograd; a penalty with gates goes down the slope of these, tested on its own."""
    if penalty.remembers:
        return
    model = Coupled().double()
    owned = penalty.owned(model, {name: g for name, g in groups.items() if name in ("c", "row")})
    for parts in owned.values():
        (penalty.strength * penalty.size(parts)).backward()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    penalty.step(owned, lr=1e-6)
    for name, weight in model.named_parameters():
        moved = (before[name] - weight.detach()) / 1e-6
        slope = torch.zeros_like(weight) if weight.grad is None else weight.grad
        torch.testing.assert_close(moved, slope, atol=1e-3, rtol=1e-3)


def check_the_step_is_proximal(penalty, groups):
    """It minimises amount * size + half the squared distance moved: no nearby point is better."""
    if not penalty.proximal:
        return
    model = Coupled().double()
    one = {name: group for name, group in groups.items() if name in ("c", "row")}
    after, _ = stepped(penalty, one, model)

    def objective(point: nn.Module) -> float:
        moved = sum(
            (new - old).square().sum().item() / 2
            for new, old in zip(point.parameters(), model.parameters(), strict=True)
        )
        return LR * penalty.value(point, one) + moved

    best = objective(after)
    for seed in range(20):
        near = copy.deepcopy(after)
        torch.manual_seed(seed)
        with torch.no_grad():
            for weight in near.parameters():
                weight.add_(torch.randn_like(weight), alpha=1e-3)
        assert objective(near) > best


CHECKS = [check for name, check in list(globals().items()) if name.startswith("check_")]


@each_penalty_at_its_levels
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])
def test_contract(check, penalty, groups):
    check(penalty, groups)


@each_penalty
def test_every_dtype(penalty):
    model = Coupled()
    expected = stepped(penalty, CHANNELS, model)[0].column
    for dtype in (torch.float64, torch.bfloat16):
        column = stepped(penalty, CHANNELS, copy.deepcopy(model).to(dtype))[0].column
        assert column.dtype == dtype
        torch.testing.assert_close(column.float(), expected, atol=0.02, rtol=0.02)


@each_penalty
def test_frozen_groups_and_frozen_parameters_are_left_alone(penalty):
    model = Coupled()
    model.bias.requires_grad_(False)
    after, _ = stepped(penalty, CHANNELS, model)
    assert torch.equal(after.bias, model.bias)
    frozen = {"c": replace(CHANNELS["c"], frozen_because="it is the output")}
    assert torch.equal(stepped(penalty, frozen, model)[0].row, model.row)


@each_penalty
def test_apply_is_one_step_unless_something_is_kept_between_steps(penalty):
    model = Coupled()
    expected, owned = stepped(penalty, CHANNELS, model)
    if penalty.remembers:
        with pytest.raises(TrainError, match="keeps gates between steps, which would be forgotten"):
            penalty.apply(model, CHANNELS, lr=LR)
        with pytest.raises(TrainError, match=r"penalty\.total\(owned\)"):
            penalty.value(model, CHANNELS)
        return
    penalty.apply(model, CHANNELS, lr=LR)
    assert all(map(torch.equal, model.parameters(), expected.parameters()))
    assert penalty.value(model, CHANNELS) == penalty.total(owned)


@each_penalty
@pytest.mark.parametrize("strength", [-1.0, float("nan"), float("inf")])
def test_strength_out_of_range(penalty, strength):
    with pytest.raises(TrainError, match=rf"strength={strength}\) cannot be used"):
        replace(penalty, strength=strength)


@each_penalty
def test_groups_of_another_model(penalty):
    with pytest.raises(TrainError, match="no parameter 'row', of which group 'c' owns a part"):
        penalty.owned(nn.Linear(2, 2), CHANNELS)


@each_penalty
@pytest.mark.parametrize("section", ["Data", "Cost", "Source", "Example"])
def test_docstring_has(penalty, section):
    assert re.search(rf"^    {section}:", type(penalty).__doc__, flags=re.MULTILINE)


def test_every_penalty_is_listed():
    for module in pkgutil.iter_modules(penalties.__path__, "prunus.train.penalties."):
        importlib.import_module(module.name)
    assert final(Penalty) == set(PENALTIES.values())


def final(kind: type[Penalty]) -> set[type[Penalty]]:
    """Return the penalties of prunus that no other derives from."""
    below = kind.__subclasses__()
    if not below:
        return {kind} if kind.__module__.startswith("prunus.") else set()
    return set().union(*map(final, below))


# -- the contract can fail --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Overshoots(Penalty):
    """Moves past zero, as a plain gradient step on |w| does."""

    def size(self, parts: Parts) -> Tensor:
        return sum_over(parts, Tensor.abs).sum()

    def shrink(self, parts: Parts, amount: Tensor | float) -> None:
        for part in parts:
            part.weight.sub_(part.weight.sign() * part._spread(amount, elsewhere=0.0))


@dataclass(frozen=True, kw_only=True)
class FirstOnly(Penalty):
    """Forgets all members but the first, and with them what the units cost."""

    def size(self, parts: Parts) -> Tensor:
        return sum_over(parts[:1], torch.square).sum() / 2

    def shrink(self, parts: Parts, amount: Tensor | float) -> None:
        parts[0].scale(1 / (1 + amount))


@dataclass(frozen=True, kw_only=True)
class Grows(Penalty):
    """Has its sign wrong."""

    def size(self, parts: Parts) -> Tensor:
        return sum_over(parts, torch.square).sum() / 2

    def shrink(self, parts: Parts, amount: Tensor | float) -> None:
        for part in parts:
            part.scale(1 + amount)


@dataclass(frozen=True, kw_only=True)
class Doubled(Penalty):
    """Steps as if its value had no half in it."""

    def size(self, parts: Parts) -> Tensor:
        return sum_over(parts, torch.square).sum() / 2

    def shrink(self, parts: Parts, amount: Tensor | float) -> None:
        for part in parts:
            part.scale(1 / (1 + 2 * amount))


WRONG = {
    Overshoots: {"no_weight_grows_or_changes_its_sign", "the_step_is_proximal"},
    FirstOnly: {"acts_on_every_member_and_on_nothing_else"},
    Grows: {"no_weight_grows_or_changes_its_sign", "the_value_falls", "the_step_is_proximal"},
    Doubled: {"a_small_step_goes_down_the_slope_of_the_value", "the_step_is_proximal"},
}


@pytest.mark.parametrize(("kind", "failures"), WRONG.items())
def test_a_wrong_penalty_fails(kind, failures):
    failed = set()
    for check in CHECKS:
        torch.manual_seed(0)
        try:
            check(kind(strength=AMOUNT / LR), CHANNELS)
        except AssertionError:
            failed.add(check.__name__.removeprefix("check_"))
    assert failures <= failed
