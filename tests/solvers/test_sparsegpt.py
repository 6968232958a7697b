"""SparseGPT against brute force, least squares and magnitude."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from prunus.errors import CriterionError
from prunus.solvers import Goal, Solution, SparseGPT


def layer(seed: int, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Return weights and correlated inputs."""
    generator = torch.Generator().manual_seed(seed)
    weight_OI = torch.randn(rows, columns, dtype=torch.float64, generator=generator)
    mix_II = torch.randn(columns, columns, dtype=torch.float64, generator=generator) / columns**0.5
    mix_II += torch.eye(columns, dtype=torch.float64)
    input_NI = torch.randn(200, columns, dtype=torch.float64, generator=generator) @ mix_II
    return weight_OI, input_NI


def solve(
    weight_OI: Tensor,
    hessian_II: Tensor,
    *,
    sparsity: float = 0.5,
    slots: tuple[int, int] | None = None,
    **settings: float,
) -> Solution:
    """Return what SparseGPT makes of a layer at a sparsity, or in slots."""
    kept = weight_OI.numel() - round(sparsity * weight_OI.numel())
    if slots is not None:
        kept = weight_OI.numel() * slots[0] // slots[1]
    return SparseGPT(**settings)(weight_OI, hessian_II, Goal(kept, slots))


def hessian(input_NI: Tensor) -> Tensor:
    return input_NI.T @ input_NI / len(input_NI)


def error(weight_OI: Tensor, found_OI: Tensor, input_NI: Tensor) -> float:
    return float((input_NI @ (weight_OI - found_OI).T).square().sum())


def best(weight_I: Tensor, kept: list[int], input_NI: Tensor) -> Tensor:
    """Return the row of least error that is zero outside `kept`."""
    found_I = torch.zeros_like(weight_I)
    target_N1 = (input_NI @ weight_I)[:, None]
    found_I[kept] = torch.linalg.lstsq(input_NI[:, kept], target_N1).solution[:, 0]
    return found_I


def test_removing_the_first_weight_is_least_squares() -> None:
    weight_OI, input_NI = layer(0, 1, 4)
    weight_OI[0, 0] = 1e-3  # so that it is the one to go; all others may make up for it
    solution = solve(weight_OI, hessian(input_NI), sparsity=0.25, damping=0.0)
    assert solution.mask_OI.tolist() == [[False, True, True, True]]
    wanted_I = best(weight_OI[0], [1, 2, 3], input_NI)
    torch.testing.assert_close(solution.weight_OI[0], wanted_I)


@pytest.mark.parametrize("seed", range(5))
def test_one_weight_of_a_pair_is_the_better_one(seed: int) -> None:
    weight_OI, input_NI = layer(seed, 1, 2)
    solution = solve(weight_OI, hessian(input_NI), slots=(1, 2), damping=0.0)
    # Only columns to the right make up: removing the last one changes no other.
    first_I = best(weight_OI[0], [1], input_NI)
    last_I = weight_OI[0] * torch.tensor([1.0, 0.0], dtype=torch.float64)
    wanted_I = min(first_I, last_I, key=lambda w: error(weight_OI, w[None], input_NI))
    torch.testing.assert_close(solution.weight_OI[0], wanted_I)


def one_by_one(weight_I: Tensor, mask_I: Tensor, input_NI: Tensor) -> Tensor:
    """Zero the removed weights from left to right, re-solving all to the right by lstsq."""
    found_I = weight_I.clone()
    for column in (~mask_I).nonzero().flatten().tolist():
        found_I[column] = 0
        left, right = slice(column + 1), slice(column + 1, None)
        target_N = input_NI @ weight_I - input_NI[:, left] @ found_I[left]
        found_I[right] = torch.linalg.lstsq(input_NI[:, right], target_N[:, None]).solution[:, 0]
    return found_I


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 4),
    columns=st.integers(2, 12),
    block=st.integers(1, 12),
)
def test_weights_are_least_squares_to_the_right_of_each_removal(
    seed: int, rows: int, columns: int, block: int
) -> None:
    weight_OI, input_NI = layer(seed, rows, columns)
    solution = solve(weight_OI, hessian(input_NI), damping=0.0, block=block)
    for weight_I, mask_I, found_I in zip(
        weight_OI, solution.mask_OI, solution.weight_OI, strict=True
    ):
        wanted_I = one_by_one(weight_I, mask_I, input_NI)
        torch.testing.assert_close(found_I, wanted_I, rtol=1e-4, atol=1e-4)


def test_better_than_magnitude_over_many_layers() -> None:
    found = magnitude = 0.0
    for seed in range(20):
        weight_OI, input_NI = layer(seed, 8, 64)
        solution = solve(weight_OI, hessian(input_NI))
        large_OI = weight_OI * (weight_OI.abs() > weight_OI.abs().median())
        found += error(weight_OI, solution.weight_OI, input_NI)
        magnitude += error(weight_OI, large_OI, input_NI)
    assert found < 0.75 * magnitude


def test_the_block_size_does_not_change_an_n_m_solution() -> None:
    weight_OI, input_NI = layer(0, 6, 24)
    small, large = (
        solve(weight_OI, hessian(input_NI), slots=(2, 4), block=block) for block in (3, 128)
    )
    assert torch.equal(small.mask_OI, large.mask_OI)
    torch.testing.assert_close(small.weight_OI, large.weight_OI)


@given(
    seed=st.integers(0, 10_000),
    sparsity=st.floats(0, 0.99),
    block=st.integers(1, 20),
)
def test_exactly_the_share_is_removed(seed: int, sparsity: float, block: int) -> None:
    weight_OI, input_NI = layer(seed, 3, 11)
    solution = solve(weight_OI, hessian(input_NI), sparsity=sparsity, block=block)
    assert int((~solution.mask_OI).sum()) == round(sparsity * 33)
    assert not solution.weight_OI[~solution.mask_OI].any()


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (3, 4), (4, 8), (1, 3)])
def test_exactly_n_of_m_stay(n: int, m: int) -> None:
    weight_OI, input_NI = layer(1, 5, 24)
    solution = solve(weight_OI, hessian(input_NI), slots=(n, m))
    assert (solution.mask_OI.unflatten(1, (-1, m)).sum(2) == n).all()


def test_uncorrelated_inputs_change_no_weight_that_stays() -> None:
    weight_OI, _ = layer(0, 4, 8)
    solution = solve(weight_OI, torch.eye(8, dtype=torch.float64))
    torch.testing.assert_close(solution.weight_OI, weight_OI * solution.mask_OI)


def test_an_input_that_is_always_zero_loses_its_weights() -> None:
    weight_OI, input_NI = layer(0, 4, 8)
    input_NI[:, 3] = 0
    solution = solve(weight_OI, hessian(input_NI))
    assert not solution.mask_OI[:, 3].any()
    assert solution.weight_OI.isfinite().all()


def test_what_stays_of_an_input_that_is_always_zero_is_as_it_was() -> None:
    weight_OI, input_NI = layer(0, 4, 8)
    input_NI[:, 3] = 0
    solution = solve(weight_OI, hessian(input_NI), sparsity=0.05)
    assert int(solution.mask_OI[:, 3].sum()) == 2
    assert torch.equal(solution.weight_OI[:, 3], (weight_OI * solution.mask_OI)[:, 3])


def test_the_arguments_stay() -> None:
    weight_OI, input_NI = layer(0, 4, 8)
    hessian_II = hessian(input_NI)
    copies = weight_OI.clone(), hessian_II.clone()
    solve(weight_OI, hessian_II)
    assert torch.equal(weight_OI, copies[0]) and torch.equal(hessian_II, copies[1])


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(CriterionError, match="block >= 1"):
        SparseGPT(block=0)
    with pytest.raises(CriterionError, match=r"damping=-1.* cannot be used"):
        SparseGPT(damping=-1.0)


def test_a_singular_hessian_without_damping() -> None:
    ones_II = torch.ones(4, 4)
    with pytest.raises(CriterionError, match="cannot be inverted"):
        solve(torch.randn(2, 4), ones_II, damping=0.0)


def test_columns_that_matter_little_lose_more() -> None:
    weight_OI, input_NI = layer(0, 8, 32)
    input_NI[:, :16] *= 0.01
    solution = solve(weight_OI, hessian(input_NI), damping=1e-6)
    assert int(solution.mask_OI[:, :16].sum()) < 0.1 * int(solution.mask_OI[:, 16:].sum())
