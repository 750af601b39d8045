"""The house: its commands, its face, its layers."""

import ast
import graphlib
import importlib.resources
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import optax_sched

ROOT = Path(__file__).parents[2]
MODULES = sorted(ROOT.glob("optax_sched/**/*.py"))

# A folder's files import from lower folders and from their own only.
LAYERS = ["_math", "_core", "_schedules _optax", "_runs _files", "_view planning porting", ""]
FLOOR = {folder: floor for floor, names in enumerate(LAYERS) for folder in names.split() or [""]}

each_module = pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: f"{path.parent.name}/{path.stem}"
)


def imports(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, module and name (or nothing) of every import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, module, alias.name) for alias in node.names)


def folder_of(path: Path) -> str:
    return "" if path.parent.name == "optax_sched" else path.parent.name


def graph() -> dict[str, set[str]]:
    """For each module of the package, the modules of it that it imports."""
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in MODULES}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    edges: dict[str, set[str]] = {name: set() for name in names}
    for name, path in names.items():
        for _, module, item in imports(path):
            assert not module.startswith("."), f"{path}: write the package's name, not dots"
            target = f"{module}.{item}" if f"{module}.{item}" in names else module
            if target in names:
                edges[name].add(target)
    return edges


@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("examples", 'python -m pip install -e ".[examples]" && python examples/compare_schedules.py'),
        ("test", 'python -m pip install -e ".[test]" && python -m pytest -n auto'),
    ],
)
def test_readme_has_the_command_that_ci_runs(extra: str, command: str):
    # As .ci/run reads it: the one line of a code block that starts so, and all of that line.
    outside_inside = (ROOT / "README.md").read_text(encoding="utf-8").split("\n```")
    lines = [line for block in outside_inside[1::2] for line in block.splitlines()[1:]]
    start = f'python -m pip install -e ".[{extra}]" && '
    assert [line for line in lines if line.startswith(start)] == [command]


def test_each_example_has_a_test():
    tests = ROOT / "tests/examples"
    tested = {path.stem.removeprefix("test_") for path in tests.glob("test_*.py")}
    tested |= set(
        re.findall(r"^def test_(\w+)\(", (tests / "test_examples.py").read_text(), re.MULTILINE)
    )
    tested.add("beside_optax")  # test_docs.py compares what it prints with the README
    assert {path.stem for path in ROOT.glob("examples/*.py")} <= tested


def test_all_is_sorted_and_is_what_is_public():
    names = {name for name in dir(optax_sched) if not name.startswith("_")}
    public = {name for name in names if not inspect.ismodule(getattr(optax_sched, name))}
    assert optax_sched.__all__ == sorted(public)


def test_the_face_defines_nothing():
    face = ast.parse((ROOT / "optax_sched/__init__.py").read_text(encoding="utf-8"))
    docstring, *rest = face.body
    assert isinstance(docstring, ast.Expr)
    later, *others = [node for node in rest if not isinstance(node, ast.Import | ast.ImportFrom)]
    assert ast.unparse(later).startswith("if _typing.TYPE_CHECKING:\n    from ")
    lists = [ast.unparse(node).partition(" ")[0] for node in others[:-2]]
    assert lists[0] == "__version__" and set(lists[1:]) == {"__all__"}
    # It names itself as the module of all, imports tools when they are asked for, and takes the hints
    # for other libraries' names.
    assert [type(node) for node in others[-2:]] == [ast.For, ast.If]


def test_one_version_and_two_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == optax_sched.__version__
    assert [bound.partition(">=")[0] for bound in project["dependencies"]] == ["jax", "optax"]


def test_types_are_shipped():
    assert (importlib.resources.files(optax_sched) / "py.typed").is_file()


@each_module
def test_module_says_its_purpose_and_stays_short(path: Path):
    source = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(source))
    assert docstring, f"{path.name} does not say what it is for"
    assert docstring.splitlines()[0].endswith("."), f"{path.name}: the first line is not a sentence"
    assert source.count("\n") <= 400, f"{path.name} has over 400 lines: it is two files"


@each_module
def test_module_imports_only_from_layers_below(path: Path):
    for line, module, _ in imports(path):
        package, *rest = module.split(".")
        if package == "optax_sched":
            above = FLOOR[rest[0] if rest and rest[0] in FLOOR else ""]
            own = bool(rest) and rest[0] == folder_of(path)
            assert own or above < FLOOR[folder_of(path)], f"{path}:{line}: imports {module}"


def test_imports_make_no_circle():
    list(graphlib.TopologicalSorter(graph()).static_order())


@each_module
def test_module_imports_nothing_but_jax_numpy_and_where_it_may_optax(path: Path):
    # Only what is imported with the module: plots, say, import theirs when they are drawn.
    at_once = {node.lineno for node in ast.parse(path.read_text(encoding="utf-8")).body}
    allowed = {"jax", "numpy", "optax_sched", *sys.stdlib_module_names}
    for line, module, _ in imports(path):
        package = module.partition(".")[0]
        where = f"{path}:{line}: imports {package}"
        if package == "optax":
            assert folder_of(path) == "_optax", where
        elif line in at_once:
            assert package in allowed, where


def test_no_example_stands_in_a_test():
    """`tests/conftest.py` looks for none there, so nobody would notice a wrong one."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for path in ROOT.glob("tests/**/*.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        docstrings = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, documented)]
        assert not any(">>> " in docstring for docstring in docstrings), path
