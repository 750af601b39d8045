"""What a user gets: the wheel and the sdist, the wheel alone at work, and what a type checker sees."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import sysconfig
import tarfile
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
USER = Path(__file__).parents[1] / "support" / "strict_user.py"

needs_pyright = pytest.mark.skipif(
    importlib.util.find_spec("pyright") is None,
    reason="pyright is not installed: it comes with the extra dev",
)


def run(*command: Any, cwd: Path = ROOT, status: int = 0) -> str:
    """What a command prints. It sees nothing of this checkout but what its arguments name."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=environment | {"PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Path]:
    """The sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder)
    return {"sdist": next(folder.glob("*.tar.gz")), "wheel": next(folder.glob("*.whl"))}


@pytest.fixture(scope="module")
def user(built, tmp_path_factory) -> Path:
    """A user's folder, with a virtual environment `venv` that has the wheel.

    The dependencies are those of the environment that runs the tests, through a .pth file: it does not
    read the .pth file of an editable install in there.
    """
    folder = tmp_path_factory.mktemp("user")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    pip = (sys.executable, "-m", "pip", "--python", folder / "venv/bin/python")
    run(*pip, "install", "--no-deps", "--no-index", built["wheel"])
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (installed,) = folder.glob("venv/lib/python*/site-packages")
    (installed / "dependencies.pth").write_text("\n".join(sorted(paths)), encoding="utf-8")
    return folder


def test_the_wheel_holds_the_package_and_nothing_else(built):
    files = set(zipfile.ZipFile(built["wheel"]).namelist())
    package = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("optax_sched/**/*.py")}
    metadata = {name for name in files if ".dist-info/" in name}
    assert files - metadata == package | {"optax_sched/py.typed", "optax_sched/_core/peers.toml"}
    assert any(name.endswith("licenses/LICENSE") for name in metadata)


def test_the_sdist_holds_all_that_building_and_testing_need(built):
    root, *_ = built["sdist"].name.split(".tar.gz")
    with tarfile.open(built["sdist"]) as archive:
        files = {name.removeprefix(f"{root}/") for name in archive.getnames()}
    here = [
        path.relative_to(ROOT).as_posix()
        for folder in ("optax_sched", "tests", "examples", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    top = {
        "BUILD_NOTES.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "README.md",
        "pyproject.toml",
    }
    assert files == {*here, *top, ".gitignore", "PKG-INFO"}


def test_the_wheel_alone_imports_and_says_what_it_is(user):
    script = (
        "import importlib.metadata, optax_sched; print(optax_sched.__file__); "
        "print(importlib.metadata.version('optax_sched'), optax_sched.__version__)"
    )
    file, versions = run(user / "venv/bin/python", "-c", script, cwd=user).splitlines()
    assert Path(file).is_relative_to(user)
    assert len(set(versions.split())) == 1


def test_the_wheel_alone_runs_the_doctests(user):
    """pytest imports all modules. The slowest examples run in the checkout alone."""
    options = ("-q", "--doctest-modules", "--pyargs", "optax_sched", "-W", "error", "--rootdir", user)
    fast = ("-k", "not planning and not porting", "-p", "no:cacheprovider")
    report = run(user / "venv/bin/python", "-m", "pytest", *options, *fast, cwd=user)
    passed, word, *_ = report.splitlines()[-1].split()
    assert word.rstrip(",") == "passed"  # which the number of those left out may follow
    assert int(passed) > 60


def test_the_wheel_alone_runs_a_users_program(user):
    assert run(user / "venv/bin/python", "-W", "error", USER, cwd=user) == ""


# What a user may get wrong: the line, the checker's rule, and its words.
MISTAKES = [
    ("cosine_decay(0.1, decay_step=100)", "reportCallIssue", 'No parameter named "decay_step"'),
    ("cosine_decay(0.1)", "reportCallIssue", 'Argument missing for parameter "decay_steps"'),
    ("cosine_decay(0.1, 100, 0.0, 1.0, 2.0)", "reportCallIssue", "Expected 4 positional arguments"),
    ("cosine_decay('0.1', 100)", "reportArgumentType", '"init_value"'),
    ("cosine_decay(0.1, [100])", "reportArgumentType", '"decay_steps"'),
    ("cosine_decay(0.1, None)", "reportArgumentType", '"decay_steps"'),
    ("warmup(0.1, 10, shape='cubic')", "reportArgumentType", '"shape"'),
    ("piecewise_constant(0.1, [100])", "reportArgumentType", '"values"'),
    ("noisy(0.1, 0, 0.1, kind='uniforn')", "reportArgumentType", '"kind"'),
    ("cosine_dacay(0.1, 100)", "reportUndefinedVariable", '"cosine_dacay" is not defined'),
    ("cosine_decay(0.1, 100)()", "reportCallIssue", 'Argument missing for parameter "step"'),
    ("cosine_decay(0.1, 100).replace(0.2)", "reportCallIssue", "Expected 0 positional arguments"),
    ("reduce_on_plateau(mode='lowest')", "reportArgumentType", '"mode"'),
    ("reduce_on_plateau(patience='2')", "reportArgumentType", '"patience"'),
    ("plateau(factor=0.5)", "reportCallIssue", 'No overloads for "__call__"'),
    ("lr_range_test(3, 0.0, None)", "reportArgumentType", '"step_fn"'),
    ("grid(cosine_decay, init_value=0.1)", "reportArgumentType", '"init_value"'),
    ("sweep(lambda s: 1.0, [], chunks=2)", "reportCallIssue", 'No parameter named "chunks"'),
    ("to_config(cosine_decay)", "reportArgumentType", '"schedule"'),
    ("from_config('config.json')", "reportArgumentType", '"config"'),
]


@needs_pyright
def test_strict_mode_finds_nothing_in_a_users_program_and_each_mistake_in_its_line(user):
    (user / "good.py").write_text(USER.read_text(encoding="utf-8"), encoding="utf-8")
    header = "from optax_sched import *  # pyright: ignore[reportWildcardImportFromLibrary]\n"
    lines = "".join(f"{line}\n" for line, *_ in MISTAKES)
    (user / "bad.py").write_text(header + lines, encoding="utf-8")
    options = {"typeCheckingMode": "strict", "include": ["good.py", "bad.py"]}
    (user / "pyrightconfig.json").write_text(json.dumps(options), encoding="utf-8")
    pyright = (sys.executable, "-m", "pyright", "--pythonpath", user / "venv/bin/python")
    report = json.loads(run(*pyright, "--outputjson", cwd=user, status=1))
    assert report["summary"]["filesAnalyzed"] == 2
    found = [
        (Path(each["file"]).name, each["range"]["start"]["line"], each.get("rule"), each["message"])
        for each in report["generalDiagnostics"]
    ]
    assert [each for each in found if each[0] == "good.py"] == []
    at_lines: dict[int, list[Any]] = {number: [] for number, _ in enumerate(MISTAKES, start=1)}
    for _, number, *said in found:
        at_lines[number].append(said)
    for (line, rule, words), said in zip(MISTAKES, at_lines.values(), strict=True):
        assert {found_rule for found_rule, _ in said} == {rule}, line
        assert any(words in message for _, message in said), line


def message(method: str, params: Any, number: int | None = None) -> str:
    """A message to a language server: a request if it has a number, else a notification."""
    named = {} if number is None else {"id": number}
    body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **named})
    return f"Content-Length: {len(body)}\r\n\r\n{body}"


def answered(messages: str, numbers: set[int], folder: Path) -> dict[int, Any]:
    """What the language server answers to the requests of these numbers."""
    command = (sys.executable, "-m", "pyright.langserver", "--stdio")
    answers = {}
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as server:
        assert server.stdin and server.stdout
        guard = threading.Timer(120, os.killpg, (server.pid, signal.SIGKILL))
        guard.daemon = True
        guard.start()  # where it says nothing, reading would wait for ever
        server.stdin.write(messages.encode())
        server.stdin.flush()
        while not numbers <= answers.keys():
            length = int(server.stdout.readline().removeprefix(b"Content-Length: "))
            while server.stdout.readline().strip():
                pass  # other headers
            answer = json.loads(server.stdout.read(length))
            if "method" not in answer:
                answers[answer["id"]] = answer["result"]
        server.stdin.write(message("shutdown", None, 100).encode() + message("exit", None).encode())
    guard.cancel()
    return answers


HOVERS = {
    "cosine_decay": """\
(function) def cosine_decay(
    init_value: Rate,
    decay_steps: Steps,
    end_value: Rate = 0,
    exponent: Positive = 1
) -> Schedule

Half a cosine wave, from its crest down to its trough, and then flat.
""",
    "warmup": """\
(function) def warmup(
    schedule: Operand,
    warmup_steps: StepsOrZero,
    init_value: Rate = 0,
    shape: ShapeName = "linear"
) -> Schedule

A rise to where a schedule starts, and then that schedule on its own clock.
""",
    "multiply": "(function) def multiply(*schedules: Operands) -> Schedule\n\nThe product of schedules",
    "Rate": "(type) Rate = int | float | number",
}


@needs_pyright
def test_an_editors_hover_shows_how_a_builder_is_called(user):
    imports = [
        f"from optax_sched{'.typing' if name == 'Rate' else ''} import {name}\n" for name in HOVERS
    ]
    config = {"venvPath": str(user), "venv": "venv"}
    (user / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    uri = (user / "hover.py").as_uri()
    opened = {"uri": uri, "languageId": "python", "version": 1, "text": "".join(imports)}
    plain = {"textDocument": {"hover": {"contentFormat": ["plaintext"]}}}
    folders = [{"uri": user.as_uri(), "name": "user"}]
    root = {"processId": None, "rootUri": None, "workspaceFolders": folders, "capabilities": plain}
    places = [(line, len(text) - 2) for line, text in enumerate(imports)]  # in the name
    where = [
        {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
        for line, character in places
    ]
    messages = [
        message("initialize", root, 99),
        message("initialized", {}),
        message("textDocument/didOpen", {"textDocument": opened}),
        *(message("textDocument/hover", place, line) for line, place in enumerate(where)),
    ]
    answers = answered("".join(messages), set(range(len(HOVERS))), user)
    for line, (name, start) in enumerate(HOVERS.items()):
        assert answers[line]["contents"]["value"].startswith(start), name
