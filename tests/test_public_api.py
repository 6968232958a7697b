"""The public names: exactly those listed, each documented, shown at work and in the reference."""

import doctest
import inspect
import pkgutil
import re
from types import ModuleType

import pages
import pytest

import prunus

PUBLIC = list(getattr(prunus, "__all__", []))


def shown_at_work(thing: object) -> bool:
    """Whether the docstring, or that of a method, has an example that doctest runs."""
    return any(test.examples for test in doctest.DocTestFinder().find(thing, "thing"))


def needs_example(thing: object) -> bool:
    return inspect.isfunction(thing) or (
        inspect.isclass(thing) and not issubclass(thing, Exception)
    )


def test_all_is_what_is_visible() -> None:
    visible = {
        name
        for name in dir(prunus)
        if not name.startswith("_") and not isinstance(getattr(prunus, name), ModuleType)
    }
    modules = {name for name in PUBLIC if isinstance(getattr(prunus, name), ModuleType)}

    assert set(PUBLIC) == visible | modules | {"__version__"}
    assert len(PUBLIC) == len(set(PUBLIC))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_documented(name: str) -> None:
    thing = getattr(prunus, name)

    if name != "__version__":
        assert inspect.getdoc(thing), f"prunus.{name} has no docstring"
    assert not needs_example(thing) or shown_at_work(thing), f"prunus.{name} has no example"


def test_the_reference_has_every_public_name() -> None:
    text = "\n".join(page.read_text() for page in (pages.DOCS / "reference").glob("*.md"))
    paths = re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)
    shown = {id(pkgutil.resolve_name(path)) for path in paths}

    missing = {name for name in PUBLIC if id(getattr(prunus, name)) not in shown}
    assert missing == {"__version__"}


def test_an_undocumented_function_is_found() -> None:
    def bare() -> None:
        """Has no example."""

    assert needs_example(bare)
    assert not shown_at_work(bare)
    assert not needs_example(prunus.errors.BudgetError)
