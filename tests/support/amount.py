"""How much a run asks: everything (`-m ""`, as .ci/run does), or what a few minutes allow."""

import os

# tests/conftest.py sets it, before any file of tests is read.
EVERYTHING = "OPTAX_SCHED_TESTS_ASK_EVERYTHING" in os.environ


def at_most(few: int, many: int) -> int:
    """How many examples are drawn, or how deep a nest is: `many` where everything is asked."""
    return many if EVERYTHING else few
