"""A curve over sizes: between what was measured it is straight, and it never falls."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunus.cost import Curve
from prunus.cost.timing import ascending
from prunus.errors import PruneError

STAIRS = Curve(((1, 8, 9, 16),), (2.0, 2.0, 5.0, 5.0))
PLANE = Curve(((1, 5), (2, 4)), (1.0, 3.0, 5.0, 11.0))


@pytest.mark.parametrize(("size", "time"), [(1, 2), (5, 2), (8, 2), (9, 5), (12, 5), (16, 5)])
def test_stairs_stay_stairs(size: int, time: float) -> None:
    assert STAIRS.at((size,)) == time


@pytest.mark.parametrize(
    ("point", "time"),
    [((1, 2), 1), ((1, 4), 3), ((5, 2), 5), ((5, 4), 11), ((3, 2), 3), ((1, 3), 2), ((3, 3), 5)],
)
def test_two_sizes_by_hand(point: tuple[int, int], time: float) -> None:
    assert PLANE.at(point) == time


def test_outside_it_is_what_it_is_at_the_border() -> None:
    assert (STAIRS.at((0,)), STAIRS.at((99,))) == (2, 5)
    assert PLANE.at((99, 1)) == PLANE.at((5, 2))


def test_where_no_size_matters_it_is_one_time() -> None:
    assert Curve((), (3.0,)).at(()) == 3


@pytest.mark.parametrize(
    ("sizes", "times", "said"),
    [
        (((1, 2),), (1.0,), "1 times do not make a curve"),
        (((2, 1),), (1.0, 2.0), "sizes ascend"),
        (((),), (), "there is one time for each"),
        (((1, 2),), (2.0, 1.0), "do not fall"),
        (((1, 2), (1, 2)), (1.0, 2.0, 3.0, 1.5), "do not fall"),
        (((1,),), (-1.0,), "at least 0"),
        (((1,),), (float("nan"),), "at least 0"),
    ],
)
def test_what_is_no_curve(sizes: tuple, times: tuple, said: str) -> None:
    with pytest.raises(PruneError, match=said):
        Curve(sizes, times)


grids = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: st.lists(
        st.floats(0, 100), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]
    ).map(lambda values: np.reshape(values, shape))
)


@given(grids, st.data())
def test_any_noise_becomes_a_curve_that_never_falls(values, data) -> None:
    sizes = tuple(tuple(range(1, 2 * n, 2)) for n in values.shape)
    curve = Curve(sizes, tuple(ascending(values).flatten().tolist()))
    point = [data.draw(st.integers(1, 2 * n)) for n in values.shape]
    larger = [
        data.draw(st.integers(size, 2 * n)) for size, n in zip(point, values.shape, strict=True)
    ]
    assert curve.at(point) <= curve.at(larger) + 1e-9
    assert values.min() - 1e-9 <= curve.at(point) <= values.max() + 1e-9
