"""The shortest name of a curve, and of parts one after another."""

import collections
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import optax_sched._schedules as ours
from optax_sched._core.built import is_made_by
from optax_sched._core.schedule import Schedule
from optax_sched.porting.reading import tidy

# timm's and transformers' names for shapes of a phase.
SHAPES: dict[str, Any] = {"linear": "linear", "cosine": "cosine", "1-sqrt": "sqrt"}


def cosine(start: float, length: float, end: float) -> Schedule:
    """Half a wave, which is a warm-up where it rises."""
    if end > start:
        return ours.warmup(end, length, start, "cosine")
    return ours.cosine_decay(start, length, end)


def powered(start: float, length: float, end: float, power: float) -> Schedule:
    """A power of what remains, on the way down or up."""
    if power == 1:
        return ours.linear(start, end, length)
    if end > start:
        return ours.warmup(end, length, start, ours.k_shape(power))
    return ours.polynomial_decay(start, length, end, power)


def stairs(start: float, factor: float, drops: Iterable[float]) -> Schedule:
    """A factor at each of some steps, as often as the step is there; up to step 0 from the start on."""
    counts = collections.Counter(max(drop, 0) for drop in drops)
    start = tidy(start * factor ** counts.pop(0, 0))
    boundaries = sorted(counts)
    if not boundaries:
        return ours.constant(start)
    factors = [tidy(factor ** counts[boundary]) for boundary in boundaries]
    return ours.multistep_decay(start, boundaries, factor if set(counts.values()) == {1} else factors)


def seen(starts: Sequence[float], parts: Sequence[Any]) -> list[tuple[float, float, Any]]:
    """Start, stop and part of those that are ever seen: each until any after it begins."""
    stops = list(itertools.accumulate([math.inf, *starts[:0:-1]], min))  # from the last part on
    rows = zip(starts, reversed(stops), parts, strict=True)
    return [(start, stop, part) for start, stop, part in rows if not max(start, 0) >= stop]


def interpolated(values: list[float], boundaries: list[float], shape: Any) -> Schedule:
    """Lines or waves through knots, the first of them at step 0."""
    if not boundaries:
        return ours.constant(values[0])
    if len(values) == 3 and values[1] > values[0] >= values[2] > 0:
        total, (low, peak, last) = boundaries[1], values
        div, final = tidy(peak / low), tidy(low / last)
        return ours.one_cycle(peak, total, boundaries[0] / total, div, final, False, shape)
    return ours.piecewise_interpolate(values, boundaries, shape)


def warmed(schedule: Schedule, steps: float, start: float = 0.0) -> Schedule:
    """A schedule after a line up to it, if there is one."""
    if not steps > 0:
        return schedule
    peak = _first_value(schedule)
    if peak is not None and not max(start, getattr(schedule, "end_value", 0.0)) > peak:
        if is_made_by(ours.cosine_decay, schedule) and schedule.exponent == 1:
            total = steps + schedule.decay_steps
            return ours.warmup_cosine_decay(peak, steps, total, start, schedule.end_value)
        if is_made_by(ours.linear, schedule):
            total = steps + schedule.transition_steps
            return ours.warmup_linear_decay(peak, steps, total, start, schedule.end_value)
    return ours.warmup(schedule, steps, start)


def joined(parts: Sequence[Schedule], boundaries: Sequence[float]) -> Schedule:
    """`join(parts, boundaries)`, or the recipe that it is."""
    if not boundaries:
        return parts[0]
    rise, *rest = parts
    peak = _first_value(rest[0])
    is_rise = is_made_by(ours.linear, rise) and rise.transition_steps == boundaries[0]
    if is_rise and rise.end_value == peak:
        if len(rest) == 1:
            return warmed(rest[0], boundaries[0], rise.init_value)
        if len(rest) == 2 and is_made_by(ours.constant, rest[0]) and rise.init_value <= peak:
            return _stable(rise, rest[1], boundaries) or ours.join(parts, boundaries)
    return ours.join(parts, boundaries)


def _stable(rise: Schedule, fall: Schedule, starts: Sequence[float]) -> Schedule | None:
    """A rise, a stable phase and a fall."""
    if is_made_by(ours.cosine_decay, fall) and fall.exponent == 1:
        shape, length = "cosine", fall.decay_steps
    elif is_made_by(ours.linear, fall):
        shape, length = "linear", fall.transition_steps
    else:
        return None
    peak, low, end = rise.end_value, rise.init_value, fall.end_value
    if fall.init_value != peak or end > peak:
        return None
    return ours.wsd(peak, starts[0], length, starts[1] + length, low, end, shape)


def _first_value(schedule: Schedule) -> float | None:
    """The value at step 0, where a setting says it."""
    if hasattr(schedule, "warmup_steps"):  # perhaps 0, and then it is another
        return None
    return getattr(schedule, "value", getattr(schedule, "init_value", None))
