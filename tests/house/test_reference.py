"""The docstrings as a newcomer meets them, in `help`."""

import importlib
import pydoc
import re

import pytest
from tables.signatures import SIGNATURES

import optax_sched


@pytest.mark.parametrize("name", SIGNATURES)
def test_help_shows_how_it_is_called_in_words(name):
    builder = getattr(optax_sched, name)
    shown = pydoc.plain(pydoc.render_doc(builder)).partition("\n\n")[2]
    call, found, _ = shown.partition("\n    " + builder.__doc__.partition("\n")[0])
    assert found
    # From Python 3.13 on a long call has one parameter a line.
    call = re.sub(r"-> [\w.]+\.", "-> ", re.sub(r"\s+", " ", call))
    assert call.replace("( ", "(").replace(" )", ")") == name + SIGNATURES[name]


@pytest.mark.parametrize("module", ["", ".planning", ".porting", ".typing"])
def test_help_names_no_private_module(module):
    face = importlib.import_module(f"optax_sched{module}")
    for name in face.__all__:
        shown = pydoc.plain(pydoc.render_doc(getattr(face, name)))
        # From Python 3.13 on a method says from which class it comes.
        shown = re.sub(r" from optax_sched[\w.]+$", "", shown, flags=re.MULTILINE)
        assert re.findall(r"optax_sched(?:\.\w+)*\._\w+", shown) == [], name
