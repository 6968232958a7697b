"""What every criterion must pass. They are found by themselves: a new one needs no line here."""

import copy
import doctest
import re

import pytest
import torch
from torch import Tensor

from prunus import criteria
from prunus.criteria import Criterion
from prunus.errors import CriterionError
from prunus.records import Group, Member
from prunus.signals import WEIGHT, GroupTensors, Signal, Signals, group_of

UNITS = 6
SIZES = (5, 1, 7)  # F of each member

each_criterion = pytest.mark.parametrize(
    "criterion", [pytest.param(criteria.get(name), id=name) for name in criteria.names()]
)


def random_values(needs: frozenset[Signal], *, seed: int = 0) -> dict[Signal, list[Tensor]]:
    """Numbers of three members for each signal, or one tensor of the group, and no others."""
    generator = torch.Generator().manual_seed(seed)
    values = {}
    for signal in sorted(needs or {WEIGHT}, key=lambda signal: signal.name):
        more_dims = len(signal.name.rsplit("_", 1)[1]) - 1  # "product_square_U": none
        sizes = SIZES if signal.per == "member" else (4,)
        tensors = [torch.randn(UNITS, *[size] * more_dims, generator=generator) for size in sizes]
        values[signal] = [tensor**2 if "square" in signal.name else tensor for tensor in tensors]
    return values


def group_with(values: dict[Signal, list[Tensor]]) -> GroupTensors:
    return group_of("conv1", values)


# -- the contract -----------------------------------------------------------------------------


@each_criterion
def test_one_finite_float32_score_per_unit(criterion):
    score_U = criterion(group_with(random_values(criterion.needs)))
    assert score_U.shape == (UNITS,)
    assert score_U.dtype == torch.float32
    assert score_U.isfinite().all()


@each_criterion
def test_same_numbers_same_scores(criterion):
    first, second = (criterion(group_with(random_values(criterion.needs))) for _ in range(2))
    assert torch.equal(first, second)


@each_criterion
def test_scores_follow_their_units(criterion):
    if not criterion.follows_units:
        pytest.skip("declares follows_units = False")
    values, order = random_values(criterion.needs), torch.tensor([3, 0, 5, 1, 4, 2])
    reordered = {signal: [value[order] for value in of] for signal, of in values.items()}
    torch.testing.assert_close(
        criterion(group_with(reordered)), criterion(group_with(values))[order]
    )


@each_criterion
def test_members_come_in_any_order(criterion):
    values = random_values(criterion.needs)
    turned = {signal: list(reversed(of)) for signal, of in values.items()}
    torch.testing.assert_close(criterion(group_with(turned)), criterion(group_with(values)))


@each_criterion
def test_inputs_are_untouched_and_not_returned(criterion):
    values = random_values(criterion.needs)
    criterion(group_with(values)).fill_(-1)
    before = random_values(criterion.needs)
    for signal, tensors in values.items():
        assert all(map(torch.equal, tensors, before[signal])), signal.name


@each_criterion
def test_global_random_numbers_are_untouched(criterion):
    before = torch.get_rng_state()
    criterion(group_with(random_values(criterion.needs)))
    assert torch.equal(torch.get_rng_state(), before)


@each_criterion
@pytest.mark.parametrize("size", [1, 5, 30])
def test_pieces_score_like_the_whole(criterion, size):
    if not criterion.elementwise:
        pytest.skip("is always given whole groups")
    generator = torch.Generator().manual_seed(0)
    values = {
        signal: {"w": torch.rand((6, 5) if signal.per == "member" else 30, generator=generator)}
        for signal in criterion.needs
    }
    group = Group("w", "weight", 30, (Member("w", None),))
    pieces = Signals(values).pieces(group, criterion.needs, size=size)
    whole = criterion(Signals(values).of(group, criterion.needs))
    assert torch.equal(torch.cat([criterion(piece) for piece in pieces]), whole)


@each_criterion
def test_is_a_frozen_value_that_prints_its_settings(criterion):
    assert copy.deepcopy(criterion) == criterion
    assert len({criterion, copy.deepcopy(criterion)}) == 1
    assert repr(criterion).startswith(f"{type(criterion).__name__}(")


@each_criterion
@pytest.mark.parametrize("section", ["Reads", "Returns", "Cost", "Source", "Example"])
def test_docstring_has(criterion, section):
    assert re.search(rf"^    {section}:", type(criterion).__doc__, flags=re.MULTILINE)


@each_criterion
def test_docstring_example_runs_something(criterion):
    (test,) = doctest.DocTestFinder(recurse=False).find(type(criterion), type(criterion).__name__)
    assert any(type(criterion).__name__ in example.source for example in test.examples)


@each_criterion
def test_can_be_imported_from_prunus_criteria(criterion):
    assert getattr(criteria, type(criterion).__name__) is type(criterion)


@each_criterion
def test_has_a_file_of_its_own(criterion):
    modules = [type(criteria.get(name)).__module__ for name in criteria.names()]
    assert modules.count(type(criterion).__module__) == 1


# -- the contract can fail --------------------------------------------------------------------


class Positional(Criterion):
    """Wrong on purpose: scores the place of a unit, not the unit."""

    needs = frozenset({WEIGHT})

    def score(self, group):
        return torch.arange(group.num_units)


class FirstMember(Criterion):
    """Wrong on purpose: looks at the first member only."""

    needs = frozenset({WEIGHT})

    def score(self, group):
        return group.members[0].weight_UF.sum(dim=1)


class NotElementwise(Criterion):
    """Wrong on purpose: divides by the mean of the units it was given."""

    needs = frozenset({WEIGHT})
    elementwise = True

    def score(self, group):
        sum_U = group.members[0].weight_UF.sum(dim=1)
        return sum_U / sum_U.mean()


class Unseeded(Criterion):
    """Wrong on purpose: draws from the global generator."""

    needs = frozenset({WEIGHT})

    def score(self, group):
        return torch.rand(group.num_units)


class Returns(Criterion):
    """Wrong on purpose: returns whatever it was made with."""

    needs = frozenset({WEIGHT})

    def __init__(self, returned):
        self.returned = returned

    def __repr__(self):
        return "Returns()"

    def score(self, group):
        return self.returned


class Writes(Returns):
    """Wrong on purpose: takes the absolute value in place."""

    def score(self, group):
        return group.members[0].weight_UF.abs_().sum(dim=1)


class Undeclared(Returns):
    """Wrong on purpose: reads gradients that its `needs` do not name."""

    def score(self, group):
        return group.members[0].grad_UF.sum(dim=1)


@pytest.mark.parametrize(
    ("contract", "wrong"),
    [
        (test_scores_follow_their_units, Positional()),
        (test_members_come_in_any_order, FirstMember()),
        (lambda criterion: test_pieces_score_like_the_whole(criterion, 5), NotElementwise()),
        (test_same_numbers_same_scores, Unseeded()),
        (test_global_random_numbers_are_untouched, Unseeded()),
        (lambda criterion: test_docstring_has(criterion, "Source"), Positional()),
    ],
)
def test_the_contract_can_fail(contract, wrong):
    with pytest.raises(AssertionError):
        contract(wrong)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            Returns(torch.ones(UNITS, 5)),
            r"Returns\(\) returned scores of shape \(6, 5\)",
        ),
        (Returns(1.0), r"shape float for group 'conv1', expected \(6,\)"),
        (Returns(torch.full((UNITS,), torch.nan)), "group 'conv1' that are NaN or infinite"),
        (Returns(torch.full((UNITS,), 1e300, dtype=torch.float64)), "that are NaN or infinite"),
        (Writes(None), r"Returns\(\) wrote to the tensors of group 'conv1'"),
        (Undeclared(None), r"'grad_UF' of 'conv1.0' cannot be read"),
    ],
)
def test_a_broken_criterion_is_told(wrong, words):
    with pytest.raises(CriterionError, match=words):
        wrong(group_with(random_values(wrong.needs)))


def test_wrong_criteria_get_no_name():
    assert "positional" not in criteria.names()
