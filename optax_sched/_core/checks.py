"""Relations between hyperparameters that several builders check."""

import inspect
from typing import Any

import numpy as np

from optax_sched._core.domains import default_float
from optax_sched._core.errors import in_a_word
from optax_sched._core.formula import Check, Violation


def at_most(name: str, limit: str, why: str = "", hint: str = "") -> Check:
    """The check that one number is at most another where JAX holds both."""

    def check(number: object, most: object) -> Violation:
        if _as_held(number) <= _as_held(most):
            return None
        return name, f"at most {limit} = {in_a_word(most)}{why}", hint

    return _asking(check, name, limit)


def falls(start: str, end: str) -> Check:
    """The check that a decay, or the floor under it, ends at or below its start."""
    return at_most(
        end,
        start,
        ", from where it falls",
        f": it is a rate, as in {end}=0.1 * {start}; a rise is "
        "warmup(end, steps, init_value=..., shape='cosine') or linear",
    )


def holds_all(total: str, *phases: str) -> Check:
    """The check that a total is at least the sum of its phases."""

    def check(steps: object, *lengths: object) -> Violation:
        # As Python numbers, which do not wrap.
        needed = sum(np.asarray(length).item() for length in lengths)
        fits = needed <= np.asarray(steps).item()
        return None if fits else (total, f"at least {' + '.join(phases)} = {needed}")

    return _asking(check, total, *phases)


def _asking(check: Check, *names: str) -> Check:
    """A check as a function with the names of hyperparameters as its parameters."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    vars(check)["__signature__"] = inspect.Signature([inspect.Parameter(it, kind) for it in names])
    return check


def _as_held(number: object) -> Any:
    return number if isinstance(number, int) else np.asarray(number, default_float())


decay_falls = falls("init_value", "end_value")
peak_falls = falls("peak_value", "end_value")
start_below_peak = at_most(
    "init_value",
    "peak_value",
    ", to which it rises",
    ": the combinator warmup may fall, warmup(schedule, steps, init_value)",
)
