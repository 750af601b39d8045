"""Relations between hyperparameters that several builders check."""

from typing import Any

import numpy as np

from optax_sched._core.domains import default_float
from optax_sched._core.errors import in_a_word
from optax_sched._core.formula import Violation


def at_least_the_sum(name: str, total: Any, **phases: Any) -> Violation:
    """Whether a total holds all phases."""
    # As Python numbers, which do not wrap.
    needed = sum(np.asarray(length).item() for length in phases.values())
    fits = needed <= np.asarray(total).item()
    return None if fits else (name, f"at least {' + '.join(phases)} = {needed}")


def falls(**heights: Any) -> Violation:
    """Whether the second of two heights is at most the first: a decay does not rise."""
    (start, high), (end, low) = heights.items()
    if not _exceeds(low, high):
        return None
    hint = (
        f": it is a rate, as in {end}=0.1 * {start}; a rise is "
        "warmup(end, steps, init_value=..., shape='cosine') or linear"
    )
    return end, f"at most {start} = {in_a_word(high)}, from where it falls", hint


def decay_falls(init_value: Any, end_value: Any) -> Violation:
    """Whether a decay, or the floor under it, ends at or below its start."""
    return falls(init_value=init_value, end_value=end_value)


def peak_falls(peak_value: Any, end_value: Any) -> Violation:
    """Whether what comes after a peak ends at or below it."""
    return falls(peak_value=peak_value, end_value=end_value)


def start_below_peak(init_value: Any, peak_value: Any) -> Violation:
    """Whether a warm-up rises."""
    if not _exceeds(init_value, peak_value):
        return None
    rule = f"at most peak_value = {in_a_word(peak_value)}, to which it rises"
    return "init_value", rule, ": the combinator warmup may fall, warmup(schedule, steps, init_value)"


def _exceeds(value: Any, limit: Any) -> bool:
    """Whether one number is above another where JAX holds both."""
    return bool(np.asarray(value, default_float()) > np.asarray(limit, default_float()))
