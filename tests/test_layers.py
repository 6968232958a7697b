"""Imports inside prunus go one way, and third parties stay in their place."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

# Lowest first: a module imports from its own layer and from those above it in this list.
ORDER = """
_lazy < _version < versions < errors < text < files < extents < inputs < links < records
< modes < data < networks < cost < trace < latency < units < explanation < picture < signals
< criteria < allocate < masks < shrink < agreement < solvers < damage < planner < train < recover
< schedules < verify < permute < split < save < api < pruner < study < demo < cli
"""
LAYERS = re.findall(r"\w+", ORDER)
# What is at home everywhere. Each other third party is imported in one file only.
EVERYWHERE = {"torch", "numpy"}
IN_THE_CLI = {"typer", "rich"}

Tree = Mapping[str, str]  # module name -> source


def tree_of(source: Path) -> Tree:
    """Return every module of prunus."""
    tree = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        tree[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return tree


def imports(text: str, *, top_only: bool = False) -> Iterator[str]:
    """Yield what a module imports: "a.b" and, for `from a.b import c`, "a.b.c"."""
    nodes = list(ast.walk(ast.parse(text)))
    if top_only:
        functions = (n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
        inside = {id(node) for function in functions for node in ast.walk(function)}
        nodes = [node for node in nodes if id(node) not in inside]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(module: str) -> str:
    """Return the layer that a module belongs to: "prunus.trace.axes" -> "trace"."""
    return module.split(".")[1]


def upward(tree: Tree) -> list[str]:
    """Return every import that goes up, wherever it stands in the file."""
    wrong = []
    for module, text in tree.items():
        if module == "prunus":  # it holds the public names and stands above all
            continue
        for name in imports(text):
            if not f"{name}.".startswith("prunus."):
                continue
            target = name.split(".")[1] if "." in name else ""
            if target not in LAYERS or LAYERS.index(target) > LAYERS.index(layer_of(module)):
                wrong.append(f"{module} imports {name}")
    return wrong


def needed(tree: Tree, module: str) -> set[str]:
    """Return the modules that run when `module` is imported, its own packages left out."""
    found = set()
    for name in imports(tree[module], top_only=True):
        target = name if name in tree else name.rpartition(".")[0]
        if target not in tree:
            continue
        found.add(target)
        parts = target.split(".")
        packages = {".".join(parts[:end]) for end in range(2, len(parts))}
        found |= {package for package in packages if not module.startswith(f"{package}.")}
    return found - {module}


def cycle(tree: Tree) -> list[str]:
    """Return one import cycle, empty where there is none."""
    try:
        TopologicalSorter({module: needed(tree, module) for module in tree}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def misplaced(tree: Tree) -> list[str]:
    """Return every third party that is imported outside its place."""
    users: dict[str, set[str]] = {}
    for module, text in tree.items():
        for name in {name.split(".")[0] for name in imports(text)}:
            if name not in sys.stdlib_module_names | EVERYWHERE | {"prunus"}:
                users.setdefault(name, set()).add(module)
    return [
        f"{name} is imported in {', '.join(sorted(modules))}"
        for name, modules in sorted(users.items())
        if (any(layer_of(m) != "cli" for m in modules) if name in IN_THE_CLI else len(modules) > 1)
    ]


def test_every_module_is_in_a_layer() -> None:
    assert {layer_of(m) for m in tree_of(SOURCE) if m != "prunus"} <= set(LAYERS)


def test_imports_go_down() -> None:
    assert upward(tree_of(SOURCE)) == []


def test_no_cycles() -> None:
    assert cycle(tree_of(SOURCE)) == []


def test_third_parties_stay_in_one_file() -> None:
    assert misplaced(tree_of(SOURCE)) == []


WRONG = {
    "prunus": "from prunus.cost.macs import macs",
    "prunus.cost": "import plotly",
    "prunus.cost.macs": "def macs():\n    from prunus.trace import trace",
    "prunus.trace": "from prunus.trace.axes import fresh\nimport rich",
    "prunus.trace.axes": "from prunus.trace import trace\nfrom plotly import graph_objects",
}


def test_a_wrong_tree_fails() -> None:
    assert upward(WRONG) == ["prunus.cost.macs imports prunus.trace.trace"]
    assert set(cycle(WRONG)) == {"prunus.trace", "prunus.trace.axes"}
    assert misplaced(WRONG) == [
        "plotly is imported in prunus.cost, prunus.trace.axes",
        "rich is imported in prunus.trace",
    ]


@pytest.mark.parametrize("text", ["import prunus", "from prunus import prune"])
def test_importing_the_root_from_inside_fails(text: str) -> None:
    assert upward({"prunus.study": text}) != []


def test_importing_prunus_pulls_in_nothing_heavy() -> None:
    heavy = {"plotly", "scipy", "sklearn", "pandas", "typer", "rich", "onnx"}
    heavy |= {"torch._dynamo", "torch._inductor"}
    names = "[getattr(prunus, name) for name in prunus.__all__]"
    code = f"import sys, prunus; {names}; print([n for n in {heavy} if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
