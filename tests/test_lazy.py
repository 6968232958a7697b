"""Public names are imported when they are first asked for, and mean the same in every order."""

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import prunus
from prunus._lazy import make_lazy

SOURCE = ast.parse(Path(prunus.__file__).read_text())


def names_for_type_checkers():
    """What each name is for mypy: name -> module, as in the `if TYPE_CHECKING` block."""
    (block,) = (node for node in SOURCE.body if isinstance(node, ast.If))
    return {alias.name: node.module for node in block.body for alias in node.names}


def printed_by(code):
    """What a fresh process prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_python_and_type_checkers_see_the_same():
    modules = {name for name, home in names_for_type_checkers().items() if home == "prunus"}

    assert set(prunus._modules) == modules
    assert {**prunus._homes, **dict.fromkeys(modules, "prunus")} == names_for_type_checkers()


def test_importing_prunus_does_not_import_torch():
    heavy = {"torch", "numpy"}
    code = f"import sys, prunus; print(*({heavy} & set(sys.modules)), 'prune' in dir(prunus))"
    assert printed_by(code) == ["True"]


CLASHES = [name for name in prunus._homes if (Path(prunus.__file__).parent / name).is_dir()]
ORDERS = {
    "the package first": "import prunus.{0}; thing = prunus.{0}",
    "the name first": "thing = prunus.{0}; import prunus.{0}; assert prunus.{0} is thing",
    "a module in it first": "import prunus.{0}.{1}; from prunus import {0} as thing",
}
MODULE_IN = {
    "picture": "page",
    "recover": "readers",
    "save": "plans",
    "shrink": "cut",
    "trace": "axes",
    "verify": "paired",
}


def test_some_functions_have_the_name_of_a_package():
    assert set(CLASHES) == set(MODULE_IN)


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_a_function_with_the_name_of_a_package_stays_the_function(order):
    steps = [
        f"{order.format(name, MODULE_IN[name])}; print(type(thing).__name__, thing.__name__)"
        for name in CLASHES
    ]
    expected = [word for name in CLASHES for word in ("function", name)]
    assert printed_by("import prunus\n" + "\n".join(steps)) == expected


def test_packages_can_be_imported_all_the_same():
    code = "from prunus.verify import Verdict; from prunus.save.plans import save_plan; print(1)"
    assert printed_by(code) == ["1"]


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'prunus' has no attribute 'nothing'"):
        _ = prunus.nothing
    with pytest.raises(ImportError, match="cannot import name 'nothing' from 'prunus'"):
        exec("from prunus import nothing")


def test_names_can_be_replaced(monkeypatch):
    monkeypatch.setattr(prunus, "prune", 1)
    assert prunus.prune == 1
    monkeypatch.undo()
    assert callable(prunus.prune)


def test_a_package_of_ones_own(monkeypatch):
    package = ModuleType("own")
    monkeypatch.setitem(sys.modules, "own", package)
    make_lazy("own", modules=(), homes={"sqrt": "math"})
    package.sqrt = ModuleType("own.sqrt")

    assert package.sqrt(4) == 2
    assert "sqrt" in dir(package)
