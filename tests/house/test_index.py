"""The grouped index in the package's docstring, with which `help(optax_sched)` opens."""

import collections
import pydoc
import re

import optax_sched

DOC = optax_sched.__doc__ or ""
GROUP = re.compile(r"^\*\*(.+?)\*\*", re.MULTILINE)
ENTRY = re.compile(r"^- `(\w+)`: \S.*", re.MULTILINE)


def test_each_public_name_has_one_line_of_the_index():
    counts = collections.Counter(ENTRY.findall(DOC))
    assert counts == dict.fromkeys(optax_sched.__all__, 1)


def test_each_line_of_the_index_is_an_entry_of_a_group():
    first, *groups = GROUP.split(DOC)
    assert "- `" not in first
    titles, bodies = groups[::2], groups[1::2]
    assert len(set(titles)) == len(titles)
    for title, body in zip(titles, bodies, strict=True):
        _, *lines = body.strip("\n").split("\n")  # the first one ends the title
        entries = [line for line in lines if line]
        assert entries, title
        assert all(ENTRY.fullmatch(line) for line in entries), title


def test_help_opens_with_the_index():
    lines = [line.strip() for line in pydoc.plain(pydoc.render_doc(optax_sched)).splitlines()]
    first, *rest = filter(None, DOC.splitlines())
    _, name, title, description, *shown = filter(None, lines)
    assert (name, title, description) == ("NAME", f"optax_sched - {first}", "DESCRIPTION")
    assert shown[: len(rest)] == rest
