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
from prunus.train.penalties import PENALTIES, Parts, Penalty, norms_of, owned_by, sum_over

UNITS = 6
AMOUNT = 0.05  # learning rate times strength
LR = 0.1

each_penalty = pytest.mark.parametrize(
    "penalty", [pytest.param(kind(strength=AMOUNT / LR), id=n) for n, kind in PENALTIES.items()]
)


class Coupled(nn.Module):
    """Six units with a row, a bias, a scale, columns behind a flatten and a place in a sum."""

    def __init__(self):
        super().__init__()
        self.row = nn.Parameter(torch.randn(UNITS, 3, 2))
        self.bias = nn.Parameter(torch.randn(UNITS))
        self.column = nn.Parameter(torch.randn(5, UNITS * 4))
        self.place = nn.Parameter(torch.randn(2 + UNITS))
        self.register_buffer("mean", torch.randn(UNITS))


LEAF = Leaf(UNITS, "c")
MEMBERS = (
    Member("row", 0, LEAF),
    Member("bias", 0, LEAF),
    Member("column", 1, Product((LEAF, Leaf(4)))),
    Member("place", 0, Sum((Leaf(2), LEAF))),
    Member("mean", 0, LEAF, parameter=False),
)
CHANNELS = {"c": Group("c", "channel", UNITS, MEMBERS)}
WEIGHTS = {
    name: Group(name, "weight", size, (Member(name, None),))
    for name, size in (("row", 36), ("column", 120))
}
each_granularity = pytest.mark.parametrize(
    "groups", [pytest.param(CHANNELS, id="channel"), pytest.param(WEIGHTS, id="weight")]
)


def norms(model: nn.Module, groups) -> Tensor:
    return torch.cat([norms_of(parts) for parts in owned_by(groups, model).values()]).detach()


def stepped(penalty: Penalty, groups, model: nn.Module | None = None, *, lr: float = LR):
    after = copy.deepcopy(model or Coupled())
    penalty.apply(after, groups, lr=lr)
    return after


# -- the contract -----------------------------------------------------------------------------


def check_zero_strength_changes_nothing(penalty, groups):
    model = Coupled()
    after = stepped(replace(penalty, strength=0.0), groups, model)
    for name, value in model.state_dict().items():
        assert torch.equal(after.state_dict()[name], value), name
    assert replace(penalty, strength=0.0).value(model, groups) == 0


def check_no_weight_grows_or_changes_its_sign(penalty, groups):
    model = Coupled()
    for lr in (LR, 100 * LR):
        after = stepped(penalty, groups, model, lr=lr)
        for name, weight in model.named_parameters():
            new = after.get_parameter(name)
            assert (new.abs() <= weight.abs()).all(), name
            assert (new * weight >= 0).all(), name


def check_the_value_falls(penalty, groups):
    model = Coupled()
    assert 0 < penalty.value(stepped(penalty, groups, model), groups) < penalty.value(model, groups)


def check_larger_units_stay_larger(penalty, groups):
    model = Coupled()
    with torch.no_grad():  # each unit is the first one times a factor of its own
        for weight, dim in ((model.row, 0), (model.bias, 0), (model.place[2:], 0)):
            weight.copy_(
                weight.select(dim, 0) * torch.arange(1.0, 7).view(-1, *[1] * (weight.dim() - 1))
            )
        column = model.column.view(5, UNITS, 4)
        column.copy_(column[:, :1] * torch.arange(1.0, 7).view(1, -1, 1))
    for lr in (LR, 10 * LR):
        order = norms(model, groups).argsort()
        assert (norms(stepped(penalty, groups, model, lr=lr), groups)[order].diff() >= 0).all()


def check_acts_on_every_member_and_on_nothing_else(penalty, groups):
    model = Coupled()
    after = stepped(penalty, CHANNELS, model)
    for name in ("row", "bias", "column", "place"):
        assert not torch.equal(model.get_parameter(name), after.get_parameter(name)), name
    assert torch.equal(model.place[:2], after.place[:2])
    assert torch.equal(model.mean, after.mean)


def check_empty_units_stay_empty(penalty, groups):
    model = Coupled()
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    after = stepped(penalty, groups, model)
    assert all((weight == 0).all() for weight in after.parameters())


def check_emphasis_scales_the_strength_unit_by_unit(penalty, groups):
    model = Coupled()
    owned = owned_by(groups, model)
    plain, strong = (norms(stepped(replace(penalty, strength=s), groups, model), groups)
                     for s in (penalty.strength, 2 * penalty.strength))  # fmt: skip
    even = {name: torch.arange(groups[name].size) % 2 for name in owned}
    penalty.step(owned, lr=LR, emphasis={name: 1.0 + even_U for name, even_U in even.items()})
    expected = torch.where(torch.cat(list(even.values())) == 1, strong, plain)
    torch.testing.assert_close(norms(model, groups), expected)


def check_the_step_is_proximal(penalty, groups):
    """It minimises amount * size + half the squared distance moved: no nearby point is better."""
    model = Coupled().double()
    one = {name: group for name, group in groups.items() if name in ("c", "row")}
    after = stepped(penalty, one, model)

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


@each_granularity
@each_penalty
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])
def test_contract(check, penalty, groups):
    check(penalty, groups)


@each_penalty
def test_every_dtype(penalty):
    model = Coupled()
    expected = stepped(penalty, CHANNELS, model).column
    for dtype in (torch.float64, torch.bfloat16):
        column = stepped(penalty, CHANNELS, copy.deepcopy(model).to(dtype)).column
        assert column.dtype == dtype
        torch.testing.assert_close(column.float(), expected, atol=0.02, rtol=0.02)


@each_penalty
def test_frozen_groups_and_frozen_parameters_are_left_alone(penalty):
    model = Coupled()
    model.bias.requires_grad_(False)
    after = stepped(penalty, CHANNELS, model)
    assert torch.equal(after.bias, model.bias)
    frozen = {"c": replace(CHANNELS["c"], frozen_because="it is the output")}
    assert torch.equal(stepped(penalty, frozen, model).row, model.row)


@each_penalty
@pytest.mark.parametrize("strength", [-1.0, float("nan"), float("inf")])
def test_strength_out_of_range(penalty, strength):
    with pytest.raises(TrainError, match=rf"strength={strength}\) cannot be used"):
        replace(penalty, strength=strength)


@each_penalty
def test_groups_of_another_model(penalty):
    with pytest.raises(TrainError, match="no parameter 'row', of which group 'c' owns a part"):
        penalty.apply(nn.Linear(2, 2), CHANNELS, lr=LR)


@each_penalty
@pytest.mark.parametrize("section", ["Cost", "Source", "Example"])
def test_docstring_has(penalty, section):
    assert re.search(rf"^    {section}:", type(penalty).__doc__, flags=re.MULTILINE)


def test_every_penalty_is_listed():
    for module in pkgutil.iter_modules(penalties.__path__, "prunus.train.penalties."):
        importlib.import_module(module.name)
    mine = {kind for kind in Penalty.__subclasses__() if kind.__module__.startswith("prunus.")}
    assert mine == set(PENALTIES.values())


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


WRONG = {
    Overshoots: {"no_weight_grows_or_changes_its_sign", "the_step_is_proximal"},
    FirstOnly: {"acts_on_every_member_and_on_nothing_else"},
    Grows: {"no_weight_grows_or_changes_its_sign", "the_value_falls", "the_step_is_proximal"},
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
