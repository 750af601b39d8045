"""Builds the site: the Markdown pages, a picture of each builder, the reference from the docstrings.

    python -W error docs/build_site.py site

Every link is followed. One that leads nowhere is an error.
"""

import argparse
import html
import json
import re
import shutil
import warnings
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import families
import gallery
import markdown2
import pdoc.doc
import pdoc.render
import playground
from matplotlib.axes import Axes
from pygments.formatters import HtmlFormatter

import optax_sched
from optax_sched import typing
from optax_sched._core import operands, shapes
from optax_sched._core import words as vocabulary
from optax_sched._optax import plateau

ROOT = Path(__file__).parents[1]
REFERENCE = "reference/optax_sched.html"
# These functions and the files they are in have one name.
FUNCTIONS = ["identify", "port", "read_log"]
MODULES = [
    *("optax_sched", "optax_sched.planning", "optax_sched.porting", "optax_sched.typing"),
    *(f"!optax_sched.porting.{name}" for name in FUNCTIONS),
]
PLAYGROUND = "docs/playground.html"
EXTRAS = ["fenced-code-blocks", "tables", "cuddled-lists", "smarty-pants"]
SEARCH_BOX = (
    '<input id="search" type="search" placeholder="Search" aria-label="Search the site">'
    '<ol id="found" hidden></ol>'
)
# The pages that the line at the top of each page leads to; the others are a click further.
TOP = {
    "README.md": "optax_sched",
    "docs/tasks.md": "By task",
    "docs/choosing.md": "Which one?",
    "docs/gallery.md": "Gallery",
    "docs/how-to/README.md": "How to",
    "docs/coming-from.md": "Coming from",
    "docs/planning.md": "Planning",
    "docs/faq.md": "Questions",
    PLAYGROUND: "Playground",
    REFERENCE: "Reference",
}


def sources() -> list[Path]:
    """The Markdown files that become pages."""
    top = ["README.md", "BUILD_NOTES.md", "CHANGELOG.md", "CONTRIBUTING.md"]
    return [*(ROOT / name for name in top), *sorted((ROOT / "docs").rglob("*.md"))]


def in_reading_order() -> list[str]:
    """The pages in the order of the top line, the guides in that of `How to`, then the rest."""
    guides = re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs/how-to/README.md").read_text("utf-8"))
    names = [path.relative_to(ROOT).as_posix() for path in sources()]
    order = [name for name in TOP if name in names]
    at = order.index("docs/how-to/README.md") + 1
    order[at:at] = [f"docs/how-to/{guide}" for guide in dict.fromkeys(guides)]
    return [*order, *(name for name in names if name not in order)]


def title_of(name: str) -> str:
    return _plain((ROOT / name).read_text(encoding="utf-8").partition("\n")[0])


def _plain(text: str) -> str:
    """A line of Markdown or HTML without its marks."""
    return html.unescape(re.sub(r"<.*?>|[#`]", "", text)).strip()


def neighbours(name: str, up: str) -> str:
    """Links to the page before this one and to the page after it."""
    order = in_reading_order()
    at = order.index(name)
    links = []
    if at:
        links.append(
            f'<a rel="prev" href="{up}{page_of(order[at - 1])}">← {title_of(order[at - 1])}</a>'
        )
    if at + 1 < len(order):
        links.append(
            f'<a rel="next" href="{up}{page_of(order[at + 1])}">{title_of(order[at + 1])} →</a>'
        )
    return f'<nav class="neighbours">{" ".join(links)}</nav>'


class Section(NamedTuple):
    """What the search finds: a heading of a page with its text, or a name of the reference."""

    page: str
    anchor: str
    title: str
    text: str


def sections(name: str, body: str) -> list[Section]:
    """The sections of a page, from its HTML."""
    parts = re.split(r'<h[1-3] id="([^"]*)">(.*?)</h[1-3]>', body, flags=re.DOTALL)
    return [
        Section(page_of(name), anchor, _plain(title), " ".join(_plain(text).split()))
        for anchor, title, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    ]


def names() -> list[Section]:
    """The public names, each with what the index says of it."""
    return [
        Section(REFERENCE, name, name, words)
        for group in families.groups(optax_sched).values()
        for name, words in group.items()
    ]


def page_of(name: str) -> str:
    """Where a file of the repository is on the site."""
    name = re.sub(r"(^|/)README\.md$", r"\1index.html", name)
    return re.sub(r"\.md$", ".html", name)


def render(source: Path, folder: Path) -> list[Section]:
    """Writes the page of one Markdown file with what it shows or links to; returns its sections."""
    name = source.relative_to(ROOT).as_posix()
    up = "../" * name.count("/")
    text = source.read_text(encoding="utf-8")
    body = str(markdown2.markdown(text, extras=EXTRAS))
    body = re.sub(r"<h([1-6])>(.*?)</h\1>", _with_anchor, body)
    body = re.sub(r'<a href="([^"]+)">(.*?)</a>', lambda a: _link(a, source, folder, up), body)
    for image in re.findall(r'<img src="([^":]+)"', body):
        _copy(source.parent / image, folder)
    # A public name in code leads to its place in the reference, where it does not lead anywhere yet.
    body = re.sub(
        r"(<a .*?</a>|<pre>.*?</pre>)|<code>(\w+)</code>",
        lambda found: found[1] or _named(found[2], up),
        body,
        flags=re.DOTALL,
    )
    if name == "docs/gallery.md":  # cards instead of one large picture
        body = re.sub(r"<p><img .*?></p>", "", body)
        body = re.sub(
            r'<li>(<a href="[^"]+#(\w+)">)',
            rf'<li><img src="{up}pictures/\2.png" alt="the curve of \2">\1',
            body.replace("<ul>", '<ul class="cards">'),
        )
        body = re.sub(r'(<li><img [^>]*/(\w+)\.png".*?)</li>', _playable, body, flags=re.DOTALL)
    body = body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    links = [
        f'<a href="{up}{page_of(target)}">{words}</a>'
        for target, words in TOP.items()
        if target in (REFERENCE, PLAYGROUND) or (ROOT / target).exists()
    ]
    target = folder / page_of(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title_of(name))}</title>"
        f'<link rel="stylesheet" href="{up}page.css"></head>\n'
        f"<body><nav>{' '.join(links)}{SEARCH_BOX}</nav>\n{body}\n{neighbours(name, up)}\n"
        f'<script>const up = "{up}";</script><script src="{up}search.js"></script></body></html>\n',
        encoding="utf-8",
    )
    return sections(name, body)


def _with_anchor(found: re.Match[str]) -> str:
    words = html.unescape(re.sub(r"<.*?>", "", found[2]))
    return f'<h{found[1]} id="{families.anchor(words)}">{found[2]}</h{found[1]}>'


def _link(found: re.Match[str], source: Path, folder: Path, up: str) -> str:
    """A link within the repository, as it is on the site."""
    target, words = found[1], found[2]
    name = re.fullmatch(r"<code>(\w+)</code>", words)
    if re.match(r"\w+:|#", target):
        return found[0]
    if target.endswith(".py") and name and name[1] in optax_sched.__all__:
        return _named(name[1], up)
    file, hash_sign, anchor = target.partition("#")
    if not file.endswith(".md"):
        _copy(source.parent / file, folder)
    return f'<a href="{page_of(file)}{hash_sign}{anchor}">{words}</a>'


def _playable(card: re.Match[str]) -> str:
    """A card of the gallery, with a link to the playground if the curve is there."""
    link = f' <a href="playground.html#{card[2]}" title="play with {card[2]}">play</a>'
    return f"{card[1]}{'' if card[2] in playground.LEFT_OUT else link}</li>"


def _named(name: str, up: str) -> str:
    code = f"<code>{name}</code>"
    return f'<a href="{up}{REFERENCE}#{name}">{code}</a>' if name in optax_sched.__all__ else code


def _copy(file: Path, folder: Path) -> None:
    target = folder / file.resolve().relative_to(ROOT)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)


class Links(HTMLParser):
    """What a page links to, and what may be linked to in it."""

    def __init__(self, text: str):
        super().__init__()
        self.ids: set[str] = set()
        self.targets: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.ids.add(found["id"] or "")
        target = found.get("href" if tag in ("a", "link") else "src")
        if target and not re.match(r"(https?|data|mailto):", target):
            self.targets.add(unquote(target))


def broken_links(folder: Path) -> list[str]:
    """Every link of the site that leads nowhere."""
    pages = {path: Links(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for target in sorted(page.targets):
            file, _, anchor = target.partition("#")
            there = (path.parent / file).resolve() if file else path
            has_anchors = there.name != "playground.html"  # there an anchor is what to draw
            if not there.exists() or (has_anchors and anchor and anchor not in pages[there].ids):
                broken.append(f"{path.relative_to(folder)}: {target}")
    return broken


def members(module: pdoc.doc.Module) -> dict[str, list[pdoc.doc.Doc]]:
    """What the reference of a module holds, group after group."""
    found = families.groups(module.obj).items()
    return {title: [module.members[name] for name in names] for title, names in found}


def words() -> dict[str, str]:
    """The annotations, each with the docstring that it has where it is made."""
    modules = [pdoc.doc.Module(it) for it in (vocabulary, operands, shapes, plateau)]
    places = [(word, module.get(word)) for word in typing.__all__ for module in modules]
    return {word: made.docstring for word, made in places if made and made.docstring}


def build(folder: Path) -> None:
    """Makes the whole site in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    panels = gallery.all_panels()
    (folder / "pictures").mkdir(exist_ok=True)
    for panel in panels:
        gallery.single(panel).savefig(folder / "pictures" / f"{panel.name}.png", dpi=150)
    style = (ROOT / "docs/page.css").read_text(encoding="utf-8")
    colours = HtmlFormatter(style="tango", nobackground=True).get_style_defs(".codehilite")
    (folder / "page.css").write_text(f"{style}\n{colours}\n", encoding="utf-8")
    found = [section for source in sources() for section in render(source, folder)]
    index = json.dumps([section._asdict() for section in [*names(), *found]], ensure_ascii=False)
    search = (ROOT / "docs/search.js").read_text(encoding="utf-8")
    (folder / "search.js").write_text(f"const sections = {index};\n{search}", encoding="utf-8")
    (folder / PLAYGROUND).write_text(playground.page(), encoding="utf-8")
    optax_sched.__dict__["Axes"] = Axes  # in an annotation of plot, which imports it for types only
    pdoc.render.configure(docformat="google", template_directory=ROOT / "docs")
    pdoc.render.env.globals["groups"] = members
    pdoc.render.env.globals["words"] = words()
    pdoc.render.env.globals["pictures"] = {panel.name for panel in panels}
    pdoc.render.env.globals["left_out"] = playground.LEFT_OUT
    # Public classes name the package as their module, where pdoc then looks for their source in vain.
    # What it assumes instead is right.
    warnings.filterwarnings("ignore", "Cannot determine where optax_sched")
    pdoc.pdoc(*MODULES, output_directory=folder / "reference")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the site of pages, pictures and reference.")
    parser.add_argument("folder", type=Path, help="the folder to write into")
    folder = parser.parse_args().folder
    build(folder)
    broken = broken_links(folder.resolve())
    if broken:
        parser.exit(1, "links that lead nowhere:\n" + "\n".join(broken) + "\n")
    print(f"open {folder / 'index.html'}")


if __name__ == "__main__":
    main()
