"""Curves from one height to another, which in other libraries may fall or rise."""

from typing import Any

from optax_sched._core.schedule import Schedule
from optax_sched._schedules.combine import warmup
from optax_sched._schedules.decays import cosine_decay, linear, polynomial_decay
from optax_sched._schedules.shapes import k_shape


def half_cosine(start: float, length: Any, end: float) -> Schedule:
    """Half a cosine wave."""
    return cosine_decay(start, length, end) if end <= start else warmup(end, length, start, "cosine")


def power_of_rest(start: float, length: Any, end: float, power: float) -> Schedule:
    """A power of what remains."""
    if power == 1:
        return linear(start, end, length)
    if end <= start:
        return polynomial_decay(start, length, end, power)
    return warmup(end, length, start, k_shape(power))
