"""How much a run asks: everything (`-m ""`, as .ci/run does), or what a few minutes allow."""

import os
from collections.abc import Iterable
from typing import Any

import pytest

# tests/conftest.py sets it, before any file of tests is read.
EVERYTHING = "OPTAX_SCHED_TESTS_ASK_EVERYTHING" in os.environ


def at_most(few: int, many: int) -> int:
    """How many examples are drawn, or how deep a nest is: `many` where everything is asked."""
    return many if EVERYTHING else few


def one_in(n: int, cases: Iterable[Any]) -> list[Any]:
    """Cases of one value each for `parametrize`; all but every n-th are `wide`."""
    return [pytest.param(case, marks=pytest.mark.wide if i % n else ()) for i, case in enumerate(cases)]
