"""The site: the pages, the search, and the reference, which has each docstring whole."""

import ast
import html
import inspect
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import build_site
import families
import pytest
from tables.signatures import SIGNATURES

import optax_sched
from optax_sched import typing

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site as CONTRIBUTING's command makes it: a warning is an error, and so is a broken link."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^python -W error docs/build_site.py .*$", text, re.MULTILINE)
    _, *options = shlex.split(line)
    assert options.pop() == "site"
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, *options, folder],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"open {folder / 'index.html'}\n", "")
    return folder


@pytest.fixture(scope="module")
def page(site) -> str:
    return (site / "reference/optax_sched.html").read_text(encoding="utf-8")


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    (tmp_path / "a.html").write_text('<h2 id="b"></h2><a href="#b">1</a><a href="https://x.y">2</a>')
    assert build_site.broken_links(tmp_path) == []
    (tmp_path / "c.html").write_text('<a href="a.html#c">3</a><img src="d.png">')
    assert build_site.broken_links(tmp_path) == ["c.html: a.html#c", "c.html: d.png"]


def test_every_page_is_on_the_site_and_is_reached_from_its_first(site):
    reached, waiting = set(), ["index.html"]
    while waiting:
        here = site / waiting.pop()
        if here not in reached and here.suffix == ".html":
            reached.add(here)
            targets = build_site.Links(here.read_text(encoding="utf-8")).targets
            waiting += [(here.parent / target.partition("#")[0]).resolve() for target in targets]
    assert {site / build_site.page_of(name_of(source)) for source in build_site.sources()} <= reached
    assert {page.stem for page in reached if "reference" in page.parts} >= {
        *("optax_sched", "planning", "porting", "typing")
    }


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_next_and_previous_lead_through_all_guide_pages(site):
    """From the first page on, each page once, and back again."""
    order = build_site.in_reading_order()
    assert sorted(order) == sorted(map(name_of, build_site.sources()))
    links: dict[str, list[str]] = {"next": [], "prev": []}
    for name in order:
        page = site / build_site.page_of(name)
        for which, found in links.items():
            for target in re.findall(rf'<a rel="{which}" href="(.*?)">', page.read_text("utf-8")):
                found.append((page.parent / target).resolve().relative_to(site.resolve()).as_posix())
    pages = list(map(build_site.page_of, order))
    assert links == {"next": pages[1:], "prev": pages[:-1]}


def test_the_search_knows_every_heading_and_every_name(site):
    text = (site / "search.js").read_text(encoding="utf-8")
    index = json.loads(text.partition("const sections = ")[2].partition(";\n//")[0])
    found = {(it["page"], it["anchor"]) for it in index}
    assert {(build_site.REFERENCE, name) for name in optax_sched.__all__} <= found
    for name in build_site.in_reading_order():
        page = site / build_site.page_of(name)
        headings = re.findall(r'<h[1-3] id="([^"]+)"', page.read_text(encoding="utf-8"))
        assert headings and {(build_site.page_of(name), it) for it in headings} <= found
    for section in index:
        assert section["anchor"] in (site / section["page"]).read_text(encoding="utf-8")


def test_the_gallery_has_a_picture_of_each_builder_that_leads_to_its_place(site):
    gallery = (site / "docs/gallery.html").read_text(encoding="utf-8")
    cards = re.findall(
        r'<li><img src="\.\./pictures/(\w+)\.png" alt="[^"]*">'
        r'<a href="\.\./reference/optax_sched\.html#(\w+)">',
        gallery,
    )
    built = {name for name in optax_sched.__all__ if hasattr(getattr(optax_sched, name), "formula")}
    built -= {"live"}  # its curve is that of the schedule in it
    assert {name for name, _ in cards} >= built
    assert all(picture == target for picture, target in cards)


def test_the_reference_has_the_groups_of_the_index_in_its_order(page):
    shown = re.findall(r'<h2 class="group"[^>]*>(.*?)</h2>|<section id="(\w+)">', page)
    index = families.groups(optax_sched)
    expected = [(title, *names) for title, names in index.items()]
    assert [title or name for title, name in shown] == [word for group in expected for word in group]


def docstring_of_word(name: str) -> str:
    """The string after the assignment that makes a word."""
    for path in (*ROOT.glob("optax_sched/_core/*.py"), ROOT / "optax_sched/_optax/plateau.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for node, after in itertools.pairwise(body):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                return ast.literal_eval(ast.unparse(after))
    raise AssertionError(f"{name} has no docstring")


def letters(text: str) -> str:
    return "".join(re.findall(r"\w", text)).replace("Args", "Arguments")


def section(page: str, name: str) -> str:
    """What the page says of a name, as a reader sees it, the source folded away."""
    (found,) = re.findall(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)
    unfolded = re.sub(
        r'<div class="pdoc-code codehilite"><pre><span></span><span id=[\s\S]*?</div>', "", found
    )
    return html.unescape(re.sub(r"<[^>]*>", "", unfolded))


def test_the_reference_has_each_public_name_with_its_whole_docstring(page):
    assert set(re.findall(r'<section id="(\w+)">', page)) == set(optax_sched.__all__)
    for name in optax_sched.__all__:
        docstring = inspect.getdoc(getattr(optax_sched, name))
        assert docstring, name
        assert letters(docstring) in letters(section(page, name)), name


def test_the_reference_has_each_word_with_its_whole_docstring(site):
    page = (site / "reference/optax_sched/typing.html").read_text(encoding="utf-8")
    assert set(re.findall(r'<section id="(\w+)">', page)) == set(typing.__all__)
    for name in typing.__all__:
        assert letters(docstring_of_word(name)) in letters(section(page, name)), name


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_reference_shows_how_it_is_called(page, name):
    arguments, _, _ = SIGNATURES[name].partition(" -> ")
    assert letters(section(page, name)).startswith(letters(f"def{name}{arguments}"))


def test_the_reference_links_the_words_of_a_signature(page):
    start, _, _ = page.partition('<section id="cosine_decay">')[2].partition("docstring")
    links = re.findall(r'<a href="([\w./]*)#(\w+)">(\w+)</a>', start)
    words = ["Rate", "Steps", "Rate", "Positive"]
    typed = [("optax_sched/typing.html", word, word) for word in words]
    assert links == [*typed, ("", "Schedule", "Schedule")]
