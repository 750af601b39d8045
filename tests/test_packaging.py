"""The house: its commands, its face, its layers. A new module is put into `LAYERS` below."""

import ast
import importlib.resources
import inspect
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import optax_sched

ROOT = Path(__file__).parent.parent
MODULES = sorted(ROOT.glob("optax_sched/*.py"))

# From the ground up: a module imports only from those above it in this list.
LAYERS = [
    "_shapes",
    "_kinds",
    "_hyper",
    "_evaluate",
    "_source",
    "_schedule",
    "_double",
    "_periods",
    "_decay",
    "_geometric",
    "_power",
    "_theory",
    "_piecewise",
    "_cyclic",
    "_operands",
    "_combine",
    "_clock",
    "_recipes",
    "_stable",
    "_rule",
    "_state",
    "_transform",
    "_plateau",
    "_sweep",
    "_range_test",
    "_phases",
    "_plot",
    "_config",
    "_taxonomy",
    "_gallery",
    "_show",
    "__init__",
    "__main__",
]
# They do not know each other.
FAMILIES = {"_decay", "_geometric", "_power", "_theory", "_piecewise", "_cyclic"}
MAY_IMPORT_OPTAX = {"_rule", "_state", "_transform", "_plateau", "_range_test"}

each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)


def imports(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, module and name (or nothing) of every import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, module, alias.name) for alias in node.names)


def own_imports(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, module without the package, and name of every import from the package itself."""
    stems = {module.stem for module in MODULES}
    for line, module, name in imports(path):
        assert not module.startswith("."), f"{path.name}:{line}: write the package's name, not dots"
        package, _, stem = module.partition(".")
        if package == "optax_sched":
            if not stem and name in stems:  # from optax_sched import _shapes
                stem, name = name, ""
            yield line, stem or "__init__", name


@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("examples", 'python -m pip install -e ".[examples]" && python examples/compare_schedules.py'),
        ("test", 'python -m pip install -e ".[test]" && python -m pytest'),
    ],
)
def test_readme_has_the_command_that_ci_runs(extra: str, command: str):
    # As .ci/run reads it: the one line of a code block that starts so, and all of that line.
    outside_inside = (ROOT / "README.md").read_text(encoding="utf-8").split("\n```")
    lines = [line for block in outside_inside[1::2] for line in block.splitlines()[1:]]
    start = f'python -m pip install -e ".[{extra}]" && '
    assert [line for line in lines if line.startswith(start)] == [command]


def test_all_is_sorted_and_is_what_is_public():
    public = {
        name
        for name, value in vars(optax_sched).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert optax_sched.__all__ == sorted(public)


def test_the_face_defines_nothing():
    face = ast.parse((ROOT / "optax_sched/__init__.py").read_text(encoding="utf-8"))
    docstring, *rest = face.body
    assert isinstance(docstring, ast.Expr)
    others = [node for node in rest if not isinstance(node, ast.ImportFrom)]
    assert [ast.unparse(node).partition(" = ")[0] for node in others] == ["__version__", "__all__"]


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
    assert path.stem in LAYERS, f"{path.name} is new: give it its place in LAYERS"
    for line, module, name in own_imports(path):
        where = f"{path.name}:{line}: imports {name} from {module}".replace("imports  from", "imports")
        assert module in LAYERS, f"{where}: {module} is not in LAYERS"
        assert LAYERS.index(module) < LAYERS.index(path.stem), f"{where}: imports go down the layers"
        if module in FAMILIES:
            assert path.stem not in FAMILIES, f"{where}: families do not know each other"
            if path.stem == "_operands":
                assert (module, name) == ("_decay", "constant"), f"{where}: it needs only constant"


@each_module
def test_module_imports_nothing_but_jax_numpy_and_where_it_may_optax(path: Path):
    # Only what is imported with the module: plots, say, import theirs when they are drawn.
    tree = ast.parse(path.read_text(encoding="utf-8"))
    at_once = {node.lineno for node in tree.body}
    allowed = {"jax", "numpy", "optax_sched", *sys.stdlib_module_names}
    for line, module, _ in imports(path):
        package = module.partition(".")[0]
        where = f"{path.name}:{line}: imports {package}"
        if package == "optax":
            assert path.stem in MAY_IMPORT_OPTAX, where
        elif line in at_once:
            assert package in allowed, where
