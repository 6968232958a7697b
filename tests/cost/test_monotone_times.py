"""Noise is evened out to the nearest times that do not fall."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from prunus.cost.timing import ascending


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=30))
def test_along_one_size_it_is_isotonic_regression(values) -> None:
    np.testing.assert_allclose(
        ascending(np.array(values)), isotonic_regression(values).x, rtol=1e-9, atol=1e-9
    )


def test_what_rises_already_is_left_alone() -> None:
    values = np.add.outer([0.0, 1, 5], [0.0, 2, 3])
    assert (ascending(values) == values).all()


def test_two_sizes_by_hand() -> None:
    values = np.array([[1.0, 2.0], [3.0, 1.0]])  # 2 and 1 fall along one, 3 and 1 along the other
    evened = ascending(values)
    assert evened[0, 0] <= evened[0, 1] <= evened[1, 1]
    assert evened[0, 0] <= evened[1, 0] <= evened[1, 1]
    assert evened[0, 0] == 1.0
    assert evened.mean() == pytest.approx(values.mean())


def test_a_single_time_is_itself() -> None:
    assert ascending(np.array(3.0)) == 3.0
