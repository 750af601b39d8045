"""Pages of Markdown as the tests read them: their blocks of code, their links, their headings."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OTHERS = [ROOT / "BUILD_NOTES.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]  # links only

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NOT_RUN = re.compile(r"<!-- not run: \w.*? -->\s*\Z", re.DOTALL)
NEEDS = re.compile(r"^<!-- needs: (\S+) -->$", re.MULTILINE)
LINK = re.compile(r"\[(?:[^][]|\[[^][]*\])*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    language: str
    text: str
    line: int  # of its first line of text, counted from 1
    runs: bool  # False under a comment `<!-- not run: the reason -->`
    follows: bool  # only blank lines stand between it and the block before


def blocks(page: str) -> Iterator[Block]:
    end = 0
    for found in FENCE.finditer(page):
        before = page[end : found.start()]
        line = page.count("\n", 0, found.start()) + 2
        yield Block(found[1], found[2], line, not NOT_RUN.search(before), not before.strip())
        end = found.end()


def prose(page: str) -> str:
    """The page without its code."""
    return re.sub(r"`[^`\n]*`", "code", FENCE.sub("", page))


def links(page: str) -> list[str]:
    return LINK.findall(FENCE.sub("", page))


def needs(page: str) -> list[str]:
    """What the page's code requires beside the extra `test`, such as keras or optax>=0.2.7."""
    return NEEDS.findall(page)


def anchors(page: str) -> set[str]:
    """What a link may name after `#`: the headings, as hosts of code make anchors of them."""
    headings = re.findall(r"^#{1,6} (.+)$", FENCE.sub("", page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
