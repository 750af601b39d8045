"""A peer's name that is also one of ours is quoted, not code: the reference would link it to ours."""

import inspect
import re

import pytest

import optax_sched


@pytest.mark.parametrize("name", optax_sched.__all__)
def test_no_peers_name_is_written_as_one_of_ours(name):
    text = " ".join((inspect.getdoc(getattr(optax_sched, name)) or "").split())
    wrong = [
        f"{peer} `{word}`: write {peer} '{word}'"
        for peer, word in re.findall(r"(\w+'s|\w+s') `(\w+)`", text)
        if hasattr(optax_sched, word)
    ]
    assert not wrong
