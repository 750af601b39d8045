"""The README and the guides as a newcomer meets them: their code runs, their links lead on."""

import contextlib
import doctest
import importlib.metadata
import inspect
import io
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from support.pages import OTHERS, PAGES, ROOT, Block, anchors, blocks, links, needs

import optax_sched
from optax_sched import planning, porting

MOST_WORDS = 700  # of the README, code and links too


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


each_page = pytest.mark.parametrize("path", PAGES, ids=name_of)


def programs(page: str) -> list[tuple[Block, str]]:
    """Each block of Python that runs, with the output that the page shows under it."""
    found = list(blocks(page))
    shown = {
        block: after.text
        for block, after in itertools.pairwise(found)
        if after.language == "text" and after.follows
    }
    return [
        (block, shown.get(block, "")) for block in found if block.language == "python" and block.runs
    ]


SLOW = [
    "docs/planning.md",
    "docs/how-to/groups-and-other-hyperparameters.md",
    "docs/how-to/population.md",
    "docs/how-to/range-test.md",
    "docs/how-to/read-a-log.md",
    "docs/how-to/resume-and-extend.md",
    "docs/how-to/sweep.md",
]


def how_often(name: str) -> Any:
    """Each run reads what a newcomer reads; .ci/run every page."""
    if name in SLOW:
        return pytest.mark.slow
    return pytest.mark.wide if "how-to" in name else ()


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=how_often(name_of(path)))
        for path in PAGES
        if programs(path.read_text(encoding="utf-8"))
    ],
    ids=name_of,
)
def test_its_code_runs_and_prints_what_it_shows(path: Path, tmp_path: Path, monkeypatch):
    page = path.read_text(encoding="utf-8")
    for requirement in map(Requirement, needs(page)):
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{requirement.name} is not installed")
        if version not in requirement.specifier:
            pytest.skip(f"{requirement}, and {version} is installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names = {"__name__": "page"}
    for block, shown in programs(page):
        where = f"{name_of(path)}, line {block.line}"
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * (block.line - 1) + block.text, name_of(path), "exec"), names)
        same = doctest.OutputChecker().check_output(shown, printed.getvalue(), doctest.ELLIPSIS)
        assert same, f"{where} prints\n{printed.getvalue()}"


@pytest.mark.parametrize("path", [*PAGES, *OTHERS], ids=name_of)
def test_its_links_lead_somewhere(path: Path):
    for link in links(path.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.is_relative_to(ROOT) and target.exists(), f"{name_of(path)}: no file {link}"
        if anchor:
            known = anchors(target.read_text(encoding="utf-8"))
            assert anchor in known, f"{name_of(path)}: no heading {link}"


@each_page
def test_it_has_one_title_and_only_languages_that_are_known(path: Path):
    page = path.read_text(encoding="utf-8")
    assert page.startswith("# ")
    known = {"python", "text", "bash", "json", "yaml"}
    for block in blocks(page):
        assert block.language in known, f"{name_of(path)}, line {block.line}: a block of what?"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= MOST_WORDS


def test_the_readme_lists_what_the_gallery_lists():
    gallery = (ROOT / "docs/gallery.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, listed = readme.split("## All schedules")
    for group in gallery.split("\n## ")[1:]:
        title, body = group.split("\n", 1)
        (names,) = re.findall(rf"^\* \[{title}\]\(.*?\): ((?:.|\n  )+)", listed, re.MULTILINE)
        assert re.findall(r"`(\w+)`", names) == re.findall(r"^\* \[`(\w+)`\]", body, re.MULTILINE)


def test_the_readme_has_the_count_of_the_tests_that_its_command_runs(request):
    config = request.config
    whole = {*map(Path, config.args)} == {*map(Path, config.getini("testpaths"))}
    if not whole or config.option.keyword or config.option.ignore or config.option.deselect:
        pytest.skip("only a run of all tests knows their number")
    asked = [
        item
        for item in request.session.items
        if not item.get_closest_marker("slow") and not item.get_closest_marker("wide")
    ]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"about ([\d,]+) tests", readme)
    assert len(asked) == pytest.approx(int(said.replace(",", "")), rel=0.05)


@pytest.mark.slow
def test_the_readme_has_the_table_that_its_command_prints():
    """What optax gives at the end of a power hangs on how a processor rounds; the others do not."""
    done = subprocess.run(
        [sys.executable, "examples/beside_optax.py"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=True,
    )
    title, rule, *rows = done.stdout.splitlines()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert rule in readme and len(rows) == 6
    for row in rows:
        what, theirs, ours = [cell.strip() for cell in row.strip("|").split("|")]
        (shown,) = re.findall(rf"^\| {re.escape(what)} \| (.+?) \| (.+?) \|$", readme, re.MULTILINE)
        assert shown[1] == ours
        if "power" in what:
            assert theirs != "0.0"
        elif title in readme:  # of this version of optax
            assert shown[0] == theirs


def test_the_page_of_tasks_has_every_guide_and_every_function():
    page = (ROOT / "docs/tasks.md").read_text(encoding="utf-8")
    guides = {link.partition("#")[0] for link in links(page)}
    pages = {name_of(path).removeprefix("docs/") for path in PAGES[1:]}
    assert guides == pages - {"tasks.md", "how-to/README.md"}
    modules = optax_sched, planning, porting
    for name in re.findall(r"`(\w+)`", page):
        assert any(hasattr(module, name) for module in modules), name
    for module in modules:
        functions = {name for name in module.__all__ if inspect.isfunction(getattr(module, name))}
        # What the gallery shows has its own pages.
        functions -= set(re.findall(r"\w+", (ROOT / "docs/gallery.md").read_text(encoding="utf-8")))
        assert functions <= set(re.findall(r"\w+", page))


def test_a_block_is_found_with_what_it_prints():
    page = """# T

```python
print("a")
```

```text
b
```

<!-- not run: slow -->
```python
1 / 0
```
"""
    ((block, shown),) = programs(page)
    assert (block.text, shown, block.line) == ('print("a")\n', "b\n", 4)
    assert anchors("## 1. `warm up`, then: Down-hill\n```bash\n# no\n```\n") == {
        "1-warm-up-then-down-hill"
    }
    assert links("[a [b]](c.md#d) `x`\n```\n[no](e)\n```\n") == ["c.md#d"]


def test_how_to_leads_to_every_guide_and_every_example():
    page = (ROOT / "docs/how-to/README.md").read_text(encoding="utf-8")
    guides = {path.name for path in (ROOT / "docs/how-to").glob("*.md")} - {"README.md"}
    examples = {path.name for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".ipynb")}
    assert guides | examples <= {Path(link.partition("#")[0]).name for link in links(page)}
