"""Every error says what, why, and what to type."""

import pytest

from prunus import errors
from prunus.errors import BudgetError, CriterionError, PruneError, unknown_name


def classes() -> list[type[PruneError]]:
    return PruneError.__subclasses__()


def test_an_error_shows_what_why_and_hint() -> None:
    error = BudgetError("macs=0.10 cannot be met", why="3 groups are frozen", hint="ask for 0.23")

    assert str(error).splitlines() == [
        "macs=0.10 cannot be met",
        "  why:  3 groups are frozen",
        "  hint: ask for 0.23",
    ]
    assert (error.what, error.why, error.hint) == (
        "macs=0.10 cannot be met",
        "3 groups are frozen",
        "ask for 0.23",
    )


def test_what_is_not_known_is_left_out() -> None:
    assert str(PruneError("what")) == "what"
    assert str(PruneError("what", hint="do")) == "what\n  hint: do"


@pytest.mark.parametrize("error", classes())
def test_every_error_is_a_value_error_and_is_drawn(error: type[PruneError]) -> None:
    assert issubclass(error, ValueError)
    assert f"├── {error.__name__} " in errors.__doc__ or f"└── {error.__name__} " in errors.__doc__


def test_the_drawing_has_no_other_error() -> None:
    assert errors.__doc__.count("── ") == len(classes())


def test_near_names_are_offered() -> None:
    error = unknown_name("criterion", "tailor", ["taylor", "magnitude"], CriterionError)

    assert isinstance(error, CriterionError)
    assert error.what == "there is no criterion 'tailor'"
    assert error.why == "known: magnitude, taylor"
    assert error.hint == "did you mean 'taylor'?"


def test_where_no_name_is_near_none_is_offered() -> None:
    error = unknown_name("criterion", "zzz", ["taylor"], CriterionError)

    assert error.hint == "use one of the known names"
