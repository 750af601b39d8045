"""A schedule beside a log: what is told of both, and how far the schedule itself is from each value."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from optax_sched._core.schedule import Schedule
from optax_sched.porting.families import LENGTHS, Family
from optax_sched.porting.fit_log import TIES, Array, Log
from optax_sched.porting.in_numpy import values_of


class Match(NamedTuple):
    """A schedule that may have made a log, whose value at s is `schedule(s + offset - skipped so far)`.

    Attributes:
      schedule: the schedule; its `repr` is what a person would have typed.
      offset: what to add to a logged step, -1, 0 or 1.
      skipped: the updates that were skipped, as pairs (step, how many so far), each with the first
        logged step that shows it; empty where none were.
      largest_error: the largest distance from a logged value, in halves of its last digit.
      is_consistent: whether that is at most 1.001, so that rounding explains every logged value.
    """

    schedule: Schedule
    offset: int
    skipped: list[tuple[float, int]]
    largest_error: float
    is_consistent: bool


def built(family: Family, numbers: Mapping[str, float | None], whole: bool) -> Schedule | None:
    """The schedule of these numbers, or None where its builder refuses them."""
    typed = {
        name: round(number) if whole and name in LENGTHS and isinstance(number, float) else number
        for name, number in numbers.items()
    }
    try:
        return family.build(*(typed[name] for name in family.names))
    except (TypeError, ValueError):
        return None


def errors_of(schedule: Schedule, log: Log, offset: int, lags: Array | float = 0) -> Array:
    """How far the schedule itself is from each logged value, in halves of its last digit."""
    steps = np.maximum(log.steps + offset - lags, 0)
    if log.whole and steps[-1] < 2**31:
        steps = steps.astype(np.int32)
    return np.abs(values_of(schedule, steps) - log.values) / log.half


def matched(schedule: Schedule, log: Log, offset: int, lags: Array | int = 0) -> Match:
    """A schedule beside a log. `lags`: how many updates were skipped before each step."""
    changes = np.flatnonzero(np.diff(lags, prepend=0)) if np.ndim(lags) else []
    skipped = [(float(log.steps[at]), int(np.take(lags, at))) for at in changes]
    error = float(errors_of(schedule, log, offset, lags).max())
    return Match(schedule, offset, skipped, error, error <= TIES)
